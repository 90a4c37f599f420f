"""A small config that every test may change."""

from collections.abc import Callable
from pathlib import Path

import pytest

from neox.config.derive import resolve
from neox.config.given import Given
from neox.config.load import load
from neox.config.run_config import RunConfig

SMALL = """\
num_layers: 4
hidden_size: 64
num_attention_heads: 4
seq_length: 32
pos_emb: rotary
rotary_pct: 0.25
train_iters: 100
train_micro_batch_size_per_gpu: 2
tokenizer_type: HFTokenizer
vocab_size: 1000
"""

Reader = Callable[..., Given]
Resolver = Callable[..., RunConfig]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def given(small: Path) -> Reader:
    """Load the small config with KEY=VALUE words over it."""

    def read(*overrides: str) -> Given:
        return load([small], overrides)

    return read


@pytest.fixture
def resolved(given: Reader) -> Resolver:
    """Resolve the small config with KEY=VALUE words over it, for some number of ranks."""

    def read(*overrides: str, ranks: int | None = 1) -> RunConfig:
        return resolve(given(*overrides), ranks)

    return read
