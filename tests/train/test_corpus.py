"""The config's masking arguments reach the batches."""

from pathlib import Path

import pytest
import torch

from neox.config.derive import resolve
from neox.config.load import load
from neox.data.errors import DataError
from neox.data.loader import Geometry
from neox.data.run_order import validation_order
from neox.parallel.mesh import Mesh, single_process
from neox.train.corpus import WeightSum, evaluation_loader
from tests.data.files import numbered, write_tokens
from tests.train.ranks import run_ranks

CONFIG = """
num_layers: 2
hidden_size: 32
num_attention_heads: 4
seq_length: 8
pos_emb: rotary
vocab_size: 500
train_iters: 5
eval_iters: 2
train_micro_batch_size_per_gpu: 2
split: "1,1,1"
"""


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_document_masks_and_position_resets(tmp_path: Path, mask: bool, reset: bool) -> None:
    write_tokens(tmp_path / "text", numbered([3, 4, 5] * 9))
    file = tmp_path / "config.yml"
    file.write_text(CONFIG)
    words = [
        f"reset_attention_mask={str(mask).lower()}",
        f"reset_position_ids={str(reset).lower()}",
    ]
    config = resolve(load([file], [f"data_path={tmp_path / 'text'}", *words]), 1)
    samples, geometry = validation_order(config), Geometry(micro_batch=2, accumulation=1)
    with evaluation_loader(config, samples, geometry, round_number=0, vocab_size=500) as loader:
        batches = [one for step in loader for one in step]
    assert len(batches) == 2
    for one in batches:
        assert (one.documents is not None, one.positions is not None) == (mask, reset)
        assert one.documents is None or int(one.documents.max()) >= 1
        assert one.positions is None or int(one.positions.max()) <= 4  # documents have 5 tokens


def test_one_rank_keeps_its_weight() -> None:
    weight = WeightSum(single_process(torch.device("cpu")))
    assert weight(3.0) == 3.0
    with pytest.raises(DataError, match="labels mask all"):
        weight(0.0)


def two_sums(mesh: Mesh) -> tuple[object, str]:
    weight = WeightSum(mesh)
    found = weight(3.0 * mesh.rank)
    try:
        weight(0.0)
    except DataError as error:
        return found, str(error)
    return found, ""


@pytest.mark.slow
def test_ranks_sum_their_weights_and_fail_together() -> None:
    for found, error in run_ranks(2, two_sums):
        assert found == 3.0
        assert "labels mask all" in error
