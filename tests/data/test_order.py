"""Order, packing and blending against slow, obvious references."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.blend import blend, samples_per_set
from neox.data.order import build_order
from neox.data.sources import BlendSource, OrderRequest, SplitSource, open_blend, open_split
from neox.data.splits import Part, split_boundaries
from tests.data.files import numbered, write_tokens

sizes_of = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)


def walk(sizes, documents, seq_length):
    """Document by document, as helpers.cpp does it."""
    count = (sum(sizes[d] for d in documents) - 1) // seq_length
    position, offset, rows = 0, 0, [[0, 0]]
    for _ in range(count):
        remaining = seq_length + 1
        while remaining:
            here = sizes[documents[position]] - offset
            remaining -= here
            if remaining <= 0:
                offset += remaining + here - 1
                remaining = 0
            else:
                position, offset = position + 1, 0
        rows.append([position, offset])
    return rows


@given(sizes_of, st.integers(1, 20), st.integers(0, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_sample_index_is_the_walk(sizes, seq_length, samples, seed):
    order = build_order(
        np.array(sizes, np.int32),
        range(len(sizes)),
        seq_length=seq_length,
        samples=samples,
        seed=seed,
    )
    assert order.samples.tolist() == walk(sizes, order.documents.tolist(), seq_length)
    assert len(order) >= samples
    assert sorted(order.shuffle.tolist()) == list(range(len(order)))


@given(sizes_of, st.integers(1, 70), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_packed_samples_are_slices_of_the_stream(tmp_path_factory, sizes, seq_length, samples):
    folder = tmp_path_factory.mktemp("p")
    documents = numbered(sizes)
    prefix = write_tokens(folder / "t", documents)
    request = OrderRequest(samples=samples, seq_length=seq_length, seed=3, cache=folder / "c")
    opened = open_split(SplitSource(data_path=str(prefix), split="1"), Part.TRAIN, request)
    order = build_order(
        np.array(sizes, np.int32), range(len(sizes)), seq_length=seq_length, samples=samples, seed=3
    )
    stream = [token for d in order.documents.tolist() for token in documents[d]]
    expected = [
        stream[k * seq_length : k * seq_length + seq_length + 1]
        for k in order.shuffle[:samples].tolist()
    ]
    assert opened.read(np.arange(samples)).tolist() == expected


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=6), st.integers(1, 200))
@settings(deadline=None)
def test_blend_is_the_greedy_choice_and_never_runs_dry(weights, samples):
    mixture = blend(weights, samples)
    shares = np.array(weights) / np.sum(weights)
    used = np.zeros(len(weights), np.int64)
    for i in range(samples):
        chosen = int(np.argmax(shares * max(i, 1) - used))
        assert (mixture.sets[i], mixture.within[i]) == (chosen, used[chosen])
        used[chosen] += 1
    assert (used <= samples_per_set(weights, samples)).all()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=3).filter(sum), st.integers(0, 3000))
@settings(deadline=None)
def test_split_parts_cover_all_documents_once(shares, documents):
    bounds = split_boundaries(",".join(map(str, shares)), documents)
    assert bounds[0] == 0 and bounds[-1] == documents
    assert list(bounds) == sorted(bounds)


def test_blended_samples_come_from_their_sets(tmp_path):
    one = write_tokens(tmp_path / "one", numbered([50, 60]))
    two = write_tokens(tmp_path / "two", [[1000 + t for t in d] for d in numbered([70, 9])])
    request = OrderRequest(samples=40, seq_length=8, seed=5)
    source = BlendSource(paths=(str(one), str(two)), weights=(3.0, 1.0))
    opened = open_blend(source, request)
    mixture = blend([3.0, 1.0], 40)
    tokens = opened.read(np.arange(40))
    assert ((tokens >= 1000).all(axis=1) == (mixture.sets == 1)).all()
    assert ((tokens < 1000).all(axis=1) == (mixture.sets == 0)).all()
    assert [one.weight for one in opened.inputs.sets] == [0.75, 0.25]
