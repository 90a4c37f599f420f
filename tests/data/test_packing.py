"""Whole-document packings, epochs that stay, labels, fast blending, against slow obvious loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.blend import STRETCH, blend, normalised, weights_by_size
from neox.data.errors import DataError
from neox.data.loader import Geometry, Loader
from neox.data.order_inputs import OrderMismatch, require_same_order
from neox.data.sources import BlendSource, OrderRequest, SplitSource, open_blend, open_split
from neox.data.splits import Part
from tests.data.files import numbered, write_tokens

SIZES = [3, 9, 0, 4, 2, 14, 5, 1]
LENGTH = 8


def slow_overflow(sizes, samples, seed, allow_chopped, masked):
    """The predecessor's loop, with its cursor wrapped where it would run off the end."""
    generator = np.random.RandomState(seed)
    shuffle = np.arange(samples)
    generator.shuffle(shuffle)
    order = np.arange(len(sizes))
    generator.shuffle(order)
    packed, running, cursor = [], 0, 0
    while len(packed) <= samples:  # the last one is not full yet
        document = int(order[cursor])
        size = sizes[document]
        skip = not size or document in masked or (not allow_chopped and size > LENGTH + 1)
        if not skip:
            if running == 0 or running + size > LENGTH + 1:
                packed.append([])
                running = 0
            packed[-1].append(document)
            running += size
        cursor += 1
        if cursor == len(sizes):
            cursor = 0
            generator.shuffle(order)
    return [packed[k] for k in shuffle]


def expected(documents, numbers):
    text = [token for number in numbers for token in documents[number]][: LENGTH + 1]
    return text + [0] * (LENGTH + 1 - len(text))


def blend_of(tmp_path, documents, labels=None, **more):
    source = BlendSource(
        paths=(str(write_tokens(tmp_path / "t", documents)),),
        weights=(1.0,),
        labels=None if labels is None else (str(write_tokens(tmp_path / "l", labels, "<i4")),),
    )
    request = OrderRequest(**({"samples": 20, "seq_length": LENGTH, "seed": 3} | more))
    return open_blend(source, request)


@pytest.mark.parametrize("allow_chopped", [True, False])
def test_pack_until_overflow_is_the_loop(tmp_path, allow_chopped):
    documents = [[token + 1 for token in one] for one in numbered(SIZES)]
    labels = [[-100] * len(one) if n == 3 else one for n, one in enumerate(documents)]
    more = {"packing": "pack_until_overflow", "allow_chopped": allow_chopped}
    samples = blend_of(tmp_path, documents, labels, **more)
    asked = samples.inputs.sets[0].samples  # half a percent more, as a blend asks
    slow = slow_overflow(SIZES, asked, 3, allow_chopped, {3})
    found = samples.rows(np.arange(20))
    for numbers, tokens, label in zip(slow, found.tokens.tolist(), found.labels, strict=False):
        assert tokens == expected(documents, numbers)
        assert (label == np.where(np.array(tokens) == 0, -100, tokens)).all()


def test_unpacked_is_one_document_a_sample(tmp_path):
    documents = [[token + 1 for token in one] for one in numbered(SIZES)]
    samples = blend_of(tmp_path, documents, packing="unpacked", allow_chopped=False)
    shuffle = np.arange(samples.inputs.sets[0].samples)
    np.random.RandomState(3).shuffle(shuffle)
    kept = [n for n, size in enumerate(SIZES) if 0 < size <= LENGTH + 1]
    for number, tokens in enumerate(samples.read(np.arange(20)).tolist()):
        assert tokens == expected(documents, [kept[shuffle[number] % len(kept)]])


@pytest.mark.parametrize("packing", ["packed", "pack_until_overflow", "unpacked"])
def test_splits_do_not_leak(tmp_path, packing):
    prefix = write_tokens(tmp_path / "t", [[n] * 12 for n in range(1, 11)])
    request = OrderRequest(samples=30, seq_length=LENGTH, seed=1, packing=packing)
    source = SplitSource(data_path=str(prefix), split="6,2,2")
    for part, there in ((Part.TRAIN, range(1, 7)), (Part.VALID, (7, 8)), (Part.TEST, (9, 10))):
        tokens = open_split(source, part, request).read(np.arange(30))
        assert set(np.unique(tokens)) <= set(there)


def test_masks_and_the_weight_come_from_the_labels(tmp_path):
    documents = [[n + 1 for n in one] for one in numbered([9, 30, 25])]
    labels = [[-100 if token % 3 else token for token in one] for one in documents]
    samples = blend_of(tmp_path, documents, labels)
    for size in (1, 2):
        steps = []
        for rank in range(size):
            cut = Geometry(micro_batch=4 // size, accumulation=1, data_rank=rank, data_size=size)
            with Loader(samples, cut, stop=4) as loader:
                steps += next(loader)
        counted = 0.0
        for batch in steps:
            next_tokens = batch.tokens[:, 1:]
            mask = batch.loss_mask.bool()
            assert (mask == (next_tokens % 3 == 0)).all()
            assert (batch.targets[mask] == next_tokens[mask]).all()
            counted += float(mask.sum())
        assert {batch.weight for batch in steps} == {counted}


def test_labels_of_other_documents_are_refused(tmp_path):
    with pytest.raises(DataError, match="one value for each token"):
        blend_of(tmp_path, numbered([3, 4]), numbered([4, 3]))
    with pytest.raises(DataError, match="masked by their labels"):
        blend_of(tmp_path, numbered([3]), [[-100] * 3], packing="unpacked")


def test_a_longer_run_per_epoch_begins_as_the_shorter_one(tmp_path):
    prefix = write_tokens(tmp_path / "t", numbered([40, 7, 0, 33, 21]))
    source = SplitSource(data_path=str(prefix), split="1")

    def opened(samples, order="per-epoch"):
        request = OrderRequest(samples=samples, seq_length=LENGTH, seed=5, order=order)
        return open_split(source, Part.TRAIN, request)

    short, long = opened(10), opened(60)
    assert (long.read(np.arange(10)) == short.read(np.arange(10))).all()
    require_same_order(short.inputs, long.inputs)
    legacy = opened(10, "gpt-neox")
    assert (opened(60, "gpt-neox").read(np.arange(10)) != legacy.read(np.arange(10))).any()
    with pytest.raises(OrderMismatch, match="order was"):
        require_same_order(legacy.inputs, short.inputs)
    each = (101 - 1) // LENGTH  # an epoch reads no token twice but the shared ones
    for epoch in range(60 // each):
        inputs = long.read(np.arange(epoch * each, (epoch + 1) * each))[:, :-1]
        assert len(np.unique(inputs)) == inputs.size


def slow_blend(weights, samples):
    shares, out = normalised(weights), []
    used = [0] * len(shares)
    for i in range(samples):
        behind = [share * float(i or 1) - one for share, one in zip(shares, used, strict=True)]
        chosen = behind.index(max(behind))
        out.append((chosen, used[chosen]))
        used[chosen] += 1
    return out


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
def test_blending_side_by_side_is_the_loop(weights):
    samples = 3 * STRETCH + 17
    mixture = blend(weights, samples)
    assert list(zip(mixture.sets, mixture.within, strict=True)) == slow_blend(weights, samples)


def test_a_rare_set_is_drawn_where_the_loop_draws_it():
    weights = [1e-4, 1.0, 3e-4]
    mixture = blend(weights, 20_000)
    assert list(zip(mixture.sets, mixture.within, strict=True)) == slow_blend(weights, 20_000)


def test_more_sets_than_a_byte_counts():
    mixture = blend([1.0] * 300, 600)
    assert (mixture.sets == np.tile(np.arange(300), 2)).all()


def test_weights_by_size_are_the_documented_ones():
    assert weights_by_size([10, 90], 1.0) == pytest.approx([0.1, 0.9])
    assert weights_by_size([10, 90], 0.0) == [0.5, 0.5]
