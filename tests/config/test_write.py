"""run.yml: loads back to an equal config, in equal bytes, and any YAML reader agrees."""

import dataclasses
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.table import table
from neox.config.write import as_yaml, dump

from .conftest import Resolver
from .shipped import CONFIGS, WHOLE

# one value other than the default for every argument that can be given alone
CHANGED = {
    "precision": ["precision=bf16", "zero_stage=1"],
    "accumulation": ["gradient_accumulation_steps=3"],
    "pinned": ["train_batch_size=16"],
    "lists": ["extra_save_iters=[0, 1, 2]", 'attention_config=[[["global", "flash"], 2]]'],
    "sets": [f"{kind}_data_paths=[a, b]" for kind in ("train", "valid", "test")],
    "others": ["lr=0.5", "clip_grad=0.5", "zero_stage=1", "fp16={enabled: true, loss_scale: 8}"],
    "older": ["save_interval=5", "gas=2"],
    "free": ["comet_others={a: 1, b: [x, null, true, 1.0e-3]}", "comet_tags=[a]"],
    "nested": ["curriculum_learning={enabled: true, schedule_config: {root_degree: 3}}"],
    "union": ["online_dataserver_ports=[1, 2]", "checkpoint_factor=3"],
    "unread": ["launcher=slurm", "min_scale=3", "master_port=3"],
    "empty": ["optimizer={type: Adam, params: {}}", "zero_optimization={stage: 0}"],
    "null": ["train_batch_size=null", "vocab_size=null"],
}


@pytest.mark.parametrize("words", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("ranks", [None, 1, 2])
def test_it_loads_back(
    words: list[str], ranks: int | None, resolved: Resolver, tmp_path: Path
) -> None:
    config = resolved(*words, ranks=ranks)
    run = tmp_path / "run.yml"
    run.write_text(dump(config))
    again = resolve(load([run]), ranks)
    assert again == config
    assert dump(again) == dump(config)


@pytest.mark.parametrize("name", WHOLE)
def test_every_shipped_config_loads_back(name: str, tmp_path: Path) -> None:
    config = resolve(load([CONFIGS / name]), None)
    run = tmp_path / "run.yml"
    run.write_text(dump(config))
    assert resolve(load([run]), None) == config
    assert load([run]).warnings == load([CONFIGS / name]).warnings


def test_a_pinned_batch_may_move_to_other_nodes(resolved: Resolver, tmp_path: Path) -> None:
    run = tmp_path / "run.yml"
    run.write_text(dump(resolved("train_batch_size=16", ranks=2)))
    assert resolve(load([run]), 4).batch.gradient_accumulation_steps == 2


def test_other_readers_see_the_same_values(resolved: Resolver) -> None:
    config = resolved("lr=1e-5", "optimizer.params.betas=[0.9, 0.95]", "optimizer.type=Adam")
    plain = yaml.safe_load(dump(config))
    assert plain["optimizer"]["params"]["lr"] == 1e-5
    assert plain["optimizer"]["params"]["betas"] == [0.9, 0.95]
    assert plain["prompt_end"] == "\n"
    assert "data_parallel_size" not in plain
    assert set(plain) <= set(table())


def test_what_the_engine_reads_is_written_with_its_default(resolved: Resolver) -> None:
    plain = yaml.safe_load(dump(resolved()))
    for name in ("seed", "warmup", "weight_decay", "pipe_parallel_size", "eval_interval"):
        assert name in plain
    assert plain["zero_optimization"]["stage"] == 0
    assert "wandb_host" not in plain
    assert "launcher" not in plain


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text("ab:- #"), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@drawn(VALUES)
def test_flow_style_is_what_pyyaml_reads(value: object) -> None:
    text = as_yaml(value)
    assert "\n" not in text
    assert _tuples(yaml.safe_load(text)) == _tuples(value)


def _tuples(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return math.copysign(1, value) * abs(value) if isinstance(value, float) else value


def test_frozen(resolved: Resolver) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolved().model.num_layers = 3  # type: ignore[misc]
