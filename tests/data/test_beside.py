"""What stands beside tokens: rewards, rejected answers, and the document each token belongs to."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.batching import Masking, positions_within
from neox.data.errors import DataError
from neox.data.loader import Geometry, Loader
from neox.data.order_inputs import OrderInputs, OrderMismatch, require_same_order
from neox.data.rows import NOT_COUNTED
from neox.data.sources import BlendSource, OrderRequest, open_blend
from tests.data.files import write_tokens

LENGTH = 8
FAR = 1000  # tokens of document d are FAR (d + 1), FAR (d + 1) + 1, ...


def far_apart(sizes):
    return [[FAR * (d + 1) + i for i in range(size)] for d, size in enumerate(sizes)]


def blend(tmp_path, sizes, *, name="t", **more):
    request = {"samples": 24, "seq_length": LENGTH, "seed": 3}
    asked = {key: more.pop(key) for key in ("packing", "allow_chopped", "order") if key in more}
    path = str(write_tokens(tmp_path / name, far_apart(sizes), "<i4"))
    source = BlendSource(paths=(path,), weights=(1.0,), **more)
    return open_blend(source, OrderRequest(**request, **asked))


@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(0, 13), min_size=1, max_size=9).filter(lambda s: sum(s) > 20))
@pytest.mark.parametrize("order", ["gpt-neox", "per-epoch"])
def test_a_new_document_is_where_the_next_token_does_not_follow(tmp_path_factory, order, sizes):
    samples = blend(tmp_path_factory.mktemp("d"), sizes, order=order)
    rows = samples.rows(np.arange(24), documents=True)
    assert (rows.documents >= 0).all()
    follows = rows.tokens[:, 1:] == rows.tokens[:, :-1] + 1
    # an empty document between two others counts, too, and a document may follow itself
    assert ((np.diff(rows.documents) == 0) == follows).all()
    assert (np.diff(rows.documents) >= 0).all()
    assert samples.rows(np.arange(24)).documents is None


@pytest.mark.parametrize("packing", ["pack_until_overflow", "unpacked"])
def test_what_fills_a_sample_up_is_a_document_of_its_own(tmp_path, packing):
    rows = blend(tmp_path, [3, 9, 0, 4, 2, 14, 5, 1], packing=packing).rows(
        np.arange(24), documents=True
    )
    for tokens, documents in zip(rows.tokens, rows.documents, strict=True):
        text, within = tokens[tokens > 0], documents[tokens > 0]
        assert (np.diff(within, prepend=-1) == (text % FAR == 0)).all()
        assert set(documents[tokens == 0]) <= {within[-1] + 1}


def test_positions_begin_again_with_each_document():
    documents = np.array([[0, 0, 0, 1, 3, 3], [0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 4]], np.int32)
    assert positions_within(documents).tolist() == [
        [0, 1, 2, 0, 0, 1],
        [0, 1, 2, 3, 4, 5],
        [0, 0, 0, 0, 0, 1],
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_positions_are_the_slow_count(borders):
    documents = np.cumsum(np.array(borders, np.int32), axis=1, dtype=np.int32)
    slow = []
    for row in documents.tolist():
        places: list[int] = []
        for at, document in enumerate(row):
            places.append(places[-1] + 1 if at and document == row[at - 1] else 0)
        slow.append(places)
    assert positions_within(documents).tolist() == slow


def steps_of(samples, masking, micro_batch=2, accumulation=2):
    geometry = Geometry(micro_batch=micro_batch, accumulation=accumulation)
    with Loader(samples, geometry, masking=masking, stop=24) as loader:
        return [one for step in loader for one in step]


def test_batches_carry_documents_and_positions_where_asked(tmp_path):
    samples = blend(tmp_path, [3, 9, 0, 4, 2, 14, 5, 1])
    plain = steps_of(samples, Masking())
    assert plain[0].documents is None
    assert plain[0].positions is None
    both = steps_of(samples, Masking(documents=True, positions=True))
    found = np.concatenate([one.documents.numpy() for one in both])
    assert (found == samples.rows(np.arange(24), documents=True).documents[:, :-1]).all()
    places = np.concatenate([one.positions.numpy() for one in both])
    assert (places == positions_within(found)).all()
    assert [one.tokens.tolist() for one in both] == [one.tokens.tolist() for one in plain]
    (only, *_) = steps_of(samples, Masking(positions=True))
    assert only.documents is None
    assert only.positions is not None


SIZES = [3, 9, 0, 4, 2, 14, 5, 1]
REWARDS = [0.5, -1.0, 9.0, 2.0, 0.25, 7.0, -3.5, 1.0]


def rewards_file(tmp_path, values, dtype="<f4"):
    from neox.data.token_writer import TokenFileWriter

    with TokenFileWriter(tmp_path / "rewards", np.dtype(dtype)) as writer:
        for value in values:
            writer.add(np.array([value, 99] if value is not None else []))
    return str(tmp_path / "rewards")


@pytest.mark.parametrize("dtype", ["<f4", "<i4"])
def test_a_reward_is_the_first_value_of_its_document(tmp_path, dtype):
    values = REWARDS if dtype == "<f4" else [1, -1, 9, 2, 0, 7, -3, 1]
    beside = {"rewards": (rewards_file(tmp_path, values, dtype),), "packing": "unpacked"}
    samples = blend(tmp_path, SIZES, **beside)
    rows = samples.rows(np.arange(24))
    documents = rows.tokens[:, 0] // FAR - 1
    assert rows.rewards.tolist() == [values[d] for d in documents]
    batches = steps_of(samples, Masking())
    assert [r for one in batches for r in one.rewards.tolist()] == rows.rewards.tolist()


def test_rewards_that_are_not_the_documents_are_refused(tmp_path):
    with pytest.raises(DataError, match="7 documents should be the rewards of those of"):
        blend(tmp_path, SIZES, rewards=(rewards_file(tmp_path, REWARDS[1:]),), packing="unpacked")
    with pytest.raises(DataError, match="document 1 holds no reward"):
        holes = [0.5, None, None, *REWARDS[3:]]
        blend(tmp_path, SIZES, rewards=(rewards_file(tmp_path, holes),), packing="unpacked")


def pairs(tmp_path, **more):
    others = [5, 2, 3, 0, 6, 7, 12, 1]
    rejected = [[token + 500 for token in one] for one in far_apart(others)]
    labels = [[NOT_COUNTED, *one[1:]] if len(one) > 1 else one for one in far_apart(SIZES)]
    other_labels = [[NOT_COUNTED] * (len(one) - 1) + one[-1:] for one in rejected]
    return blend(
        tmp_path,
        SIZES,
        packing="unpacked",
        labels=(str(write_tokens(tmp_path / "cl", labels, "<i4")),),
        rejected=(str(write_tokens(tmp_path / "r", rejected, "<i4")),),
        rejected_labels=(str(write_tokens(tmp_path / "rl", other_labels, "<i4")),),
        **more,
    )


@pytest.mark.parametrize(
    ("allow_chopped", "read"), [(True, {0, 1, 4, 5, 7}), (False, {0, 1, 4, 7})]
)
def test_pairs_are_two_answers_to_one_question(tmp_path, allow_chopped, read):
    """2 and 3 have an empty answer; of 5 and 6 one is too long, and what counts in 6 is cut off."""
    rows = pairs(tmp_path, allow_chopped=allow_chopped).rows(np.arange(24))
    assert rows.rejected is not None
    chosen, rejected = rows.tokens[:, 0] // FAR, rows.rejected.tokens[:, 0] // FAR
    assert (chosen == rejected).all()
    assert set((chosen - 1).tolist()) == read
    for tokens, labels in zip(rows.rejected.tokens, rows.rejected.labels, strict=True):
        assert (labels[tokens == 0] == NOT_COUNTED).all()
        counted = labels[labels != NOT_COUNTED]
        assert set(counted.tolist()) <= set(tokens.tolist())


@pytest.mark.parametrize(
    ("size", "accumulation", "micro"), [(1, 4, 2), (2, 2, 2), (4, 1, 2), (1, 1, 8)]
)
def test_pairs_of_any_geometry_are_the_same_pairs(tmp_path, size, accumulation, micro):
    samples = pairs(tmp_path)
    found = []
    for rank in range(size):
        geometry = Geometry(
            micro_batch=micro, accumulation=accumulation, data_rank=rank, data_size=size
        )
        with Loader(samples, geometry, stop=24, masking=Masking(documents=True)) as loader:
            found += [(number, one) for number, step in enumerate(loader) for one in step]
    rows = samples.rows(np.arange(24))
    expected = sorted(
        (a.tolist(), b.tolist()) for a, b in zip(rows.tokens, rows.rejected.tokens, strict=True)
    )
    halves = []
    for _, one in found:
        assert one.pairs
        assert one.weight == 8.0  # pairs of the step
        assert one.targets.shape == one.loss_mask.shape == one.documents.shape
        chosen, rejected = one.tokens.chunk(2)
        halves += [(a, b) for a, b in zip(chosen.tolist(), rejected.tolist(), strict=True)]
    assert sorted(halves) == expected


def test_a_blend_of_pairs(tmp_path):
    paths = [str(write_tokens(tmp_path / f"c{n}", far_apart([n + 2] * 5), "<i4")) for n in (0, 1)]
    others = [str(write_tokens(tmp_path / f"o{n}", far_apart([n + 4] * 5), "<i4")) for n in (0, 1)]
    source = BlendSource(paths=tuple(paths), weights=(1.0, 3.0), rejected=tuple(others))
    samples = open_blend(
        source, OrderRequest(samples=40, seq_length=LENGTH, seed=3, packing="unpacked")
    )
    rows = samples.rows(np.arange(40))
    lengths = (rows.tokens > 0).sum(axis=1)
    assert sorted(set(lengths.tolist())) == [2, 3]
    assert ((rows.rejected.tokens > 0).sum(axis=1) == lengths + 2).all()
    assert (lengths == 3).sum() == 30


def test_rejected_answers_must_be_as_many(tmp_path):
    other = str(write_tokens(tmp_path / "o", far_apart([3, 3]), "<i4"))
    with pytest.raises(DataError, match="2 documents should be the other answer to each document"):
        blend(tmp_path, SIZES, rejected=(other,), packing="unpacked")


def test_a_resumed_run_asks_for_the_same_pairs(tmp_path):
    samples = pairs(tmp_path)
    saved = OrderInputs.from_json(samples.inputs.to_json())
    require_same_order(saved, samples.inputs)
    for field in ("rejected", "rejected_labels", "labels", "rewards"):
        one = dataclasses.replace(saved.sets[0], **{field: "another"})
        with pytest.raises(OrderMismatch, match=r"of .* changed"):
            require_same_order(saved, dataclasses.replace(saved, sets=(one,)))
    older = {**samples.inputs.to_json()}
    older["sets"] = [
        {name: value for name, value in one.items() if name not in ("rewards", "rejected")}
        for one in older["sets"]
    ]
    assert OrderInputs.from_json(older).sets[0].rejected == ""
