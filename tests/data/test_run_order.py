"""From the config's data keys to samples: labels, rewards and pairs."""

from pathlib import Path

import numpy as np

from neox.config.derive import resolve
from neox.config.load import load
from neox.data import run_order
from neox.data.batching import Masking
from neox.data.loader import Geometry, Loader
from neox.data.rows import NOT_COUNTED
from tests.data.files import numbered, write_tokens

MODEL = """
num_layers: 2
hidden_size: 32
num_attention_heads: 4
seq_length: 8
pos_emb: rotary
vocab_size: 500
train_iters: 5
eval_interval: 5
eval_iters: 1
train_micro_batch_size_per_gpu: 2
pack_impl: unpacked
"""
SIZES = [3, 9, 4, 2, 6]


def config(tmp_path: Path, *words: str):
    file = tmp_path / "config.yml"
    file.write_text(MODEL)
    return resolve(load([file], words), 1)


def files(tmp_path: Path) -> None:
    documents = [[token + 1 for token in one] for one in numbered(SIZES)]
    write_tokens(tmp_path / "text", documents)
    write_tokens(tmp_path / "other", [[token + 200 for token in one] for one in documents])
    labels = [[*[NOT_COUNTED] * (len(one) - 1), one[-1]] for one in documents]
    write_tokens(tmp_path / "labels", labels, "<i4")
    write_tokens(tmp_path / "rewards", [[n] for n in range(len(SIZES))], "<i4")


def every_part(tmp_path: Path, name: str, file: str) -> list[str]:
    return [f"{name.format(part)}=[{tmp_path / file}]" for part in ("train", "valid", "test")]


def test_pairs_of_all_three_parts(tmp_path: Path) -> None:
    files(tmp_path)
    words = [
        "dataset_impl=pairwise",
        "train_impl=dpo",
        *every_part(tmp_path, "pos_{}_data_paths", "text"),
        *every_part(tmp_path, "neg_{}_data_paths", "other"),
        *every_part(tmp_path, "pos_{}_label_data_paths", "labels"),
    ]
    run = config(tmp_path, *words)
    opened = (run_order.training_order, run_order.validation_order, run_order.test_order)
    for samples in (one(run) for one in opened):
        assert samples is not None and samples.paired
        rows = samples.rows(np.arange(2))
        there = rows.tokens > 0
        assert rows.rejected is not None
        assert (rows.rejected.tokens[there] == rows.tokens[there] + 200).all()
        assert ((rows.labels != NOT_COUNTED).sum(axis=1) == 1).all()
        assert (rows.rejected.labels[there] == rows.rejected.tokens[there]).all()
    geometry = Geometry(micro_batch=2, accumulation=1)
    masking = Masking(vocab_size=500)
    with Loader(run_order.training_order(run), geometry, masking=masking) as loader:
        (batch,) = next(loader)
        assert (batch.pairs, len(batch.tokens), batch.weight) == (True, 4, 2.0)


def test_rewards_and_labels(tmp_path: Path) -> None:
    files(tmp_path)
    words = [
        "train_impl=kto",
        *every_part(tmp_path, "{}_data_paths", "text"),
        *every_part(tmp_path, "{}_label_data_paths", "labels"),
        *every_part(tmp_path, "{}_reward_data_paths", "rewards"),
    ]
    rows = run_order.training_order(config(tmp_path, *words)).rows(np.arange(8))
    first = np.cumsum([0, *SIZES[:-1]]) + 1
    assert rows.rewards is not None
    assert (first[rows.rewards.astype(int)] == rows.tokens[:, 0]).all()
    assert ((rows.labels != NOT_COUNTED).sum(axis=1) == 1).all()
