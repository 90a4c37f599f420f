"""Golden vectors made by GPT-NeoX's own functions (EleutherAI/gpt-neox ea7aefd8)."""

import json
from pathlib import Path

import numpy as np
import pytest

from neox.data.blend import blend, normalised, samples_per_set, weights_by_documents
from neox.data.loader import Geometry
from neox.data.order import build_order, epochs_needed
from neox.data.sources import OrderRequest, SplitSource, open_split
from neox.data.splits import Part, split_boundaries
from neox.data.token_file import TokenFile
from tests.data.files import write_tokens

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


@pytest.mark.parametrize("case", VECTORS["packed"])
def test_index_maps(case):
    first, last = case["documents"][0], case["documents"][-1] + 1
    order = build_order(
        np.array(case["sizes"], np.int32),
        range(first, last),
        seq_length=case["seq_length"],
        samples=case["num_samples"],
        seed=case["seed"],
    )
    tokens = case["tokens_per_epoch"]
    assert epochs_needed(tokens, case["seq_length"], case["num_samples"]) == case["num_epochs"]
    assert order.documents.tolist() == case["doc_idx"]
    assert order.samples.tolist() == case["sample_idx"]
    assert order.shuffle.tolist() == case["shuffle_idx"]
    assert order.documents.dtype == case["dtype"]["doc"]
    assert order.samples.dtype == case["dtype"]["sample"]
    assert order.shuffle.dtype == case["dtype"]["shuffle"]
    assert len(order) == case["dataset_len"] + 1  # the predecessor never reads the last one


def test_samples_are_the_documented_tokens(tmp_path):
    case = VECTORS["packed"][0]  # token = 100 x document + offset
    documents = [[100 * d + i for i in range(size)] for d, size in enumerate(case["sizes"])]
    prefix = write_tokens(tmp_path / "t", documents)
    request = OrderRequest(samples=10, seq_length=4, seed=case["seed"])
    samples = open_split(SplitSource(data_path=str(prefix), split="1"), Part.TRAIN, request)
    for number, expected in enumerate(case["first_samples_doc_offset"]):
        tokens = samples.read(np.array([number]))[0].tolist()
        assert [f"{token // 100}:{token % 100}" for token in tokens] == expected


@pytest.mark.parametrize("case", VECTORS["splits"])
def test_splits(case):
    assert list(split_boundaries(case["split"], case["size"])) == case["index"]


@pytest.mark.parametrize(
    ("split", "documents", "bounds"),
    [
        ("1,1,1", 5, [0, 1, 3, 5]),  # 2 + 2 + 2, one too many
        ("1/1", 5, [0, 3, 5, 5]),  # 2.5 rounds to 2, as Python does: one too few
        ("0,1,1", 3, [0, 0, 1, 3]),  # the predecessor would begin at -1
    ],
)
def test_splits_round_to_even_and_give_back_the_excess(split, documents, bounds):
    assert list(split_boundaries(split, documents)) == bounds


@pytest.mark.parametrize("case", VECTORS["blend"])
def test_blend(case):
    mixture = blend(case["weights"], case["size"])
    assert mixture.sets.tolist() == case["dataset_index"]
    assert mixture.within.tolist() == case["dataset_sample_index"]
    assert (mixture.sets.dtype, mixture.within.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("case", VECTORS["weights_by_num_docs"])
def test_weights_by_documents(case):
    assert weights_by_documents(case["docs"], case["alpha"]) == case["weights"]


@pytest.mark.parametrize("case", VECTORS["weighted_num_samples"])
def test_samples_per_set(case):
    assert normalised(case["weights"]) == case["normalized"]
    assert samples_per_set(case["weights"], case["num_samples"]) == case["per_dataset"]


@pytest.mark.parametrize("case", VECTORS["sampler"])
def test_which_rank_reads_what(case):
    size, batch = case["dp_world"], case["global_micro_batch"]
    for rank in range(size):
        geometry = Geometry(
            micro_batch=batch // size, accumulation=1, data_rank=rank, data_size=size
        )
        expected = case["per_rank"][str(rank)]
        for step, numbers in enumerate(expected, start=case["start_iter"]):
            assert geometry.step_numbers(step * batch).tolist() == [numbers]


def test_file_bytes(tmp_path):
    case = VECTORS["mmididx"]
    prefix = write_tokens(tmp_path / "v", case["documents"], "<u2")
    assert prefix.with_name("v.idx").read_bytes().hex() == case["idx_hex"]
    assert prefix.with_name("v.bin").read_bytes().hex() == case["bin_hex"]
    file = TokenFile(prefix)
    assert [file.sequence(i).tolist() for i in range(len(file))] == case["documents"]
