"""Steps, positions and weights do not depend on how a batch is cut."""

import dataclasses
import threading

import numpy as np
import pytest

from neox.data.batching import Masking
from neox.data.errors import DataError
from neox.data.loader import Geometry, Loader
from neox.data.order_inputs import OrderInputs, OrderMismatch, require_same_order
from neox.data.sources import OrderRequest, SplitSource, open_split
from neox.data.splits import Part
from tests.data.files import numbered, write_tokens

SAMPLES = 64


@pytest.fixture
def samples(tmp_path):
    prefix = write_tokens(tmp_path / "t", numbered([37, 300, 5, 99, 1]))
    request = OrderRequest(samples=SAMPLES, seq_length=8, seed=1)
    return open_split(SplitSource(data_path=str(prefix), split="1"), Part.TRAIN, request)


def read_all(samples, size, accumulation, micro_batch=2, *, start=0, stop=SAMPLES, **more):
    """Per step, the micro-batches of all ranks in their global order."""
    ranks = []
    for rank in range(size):
        geometry = Geometry(
            micro_batch=micro_batch, accumulation=accumulation, data_rank=rank, data_size=size
        )
        with Loader(samples, geometry, start=start, stop=stop, **more) as loader:
            ranks.append(list(loader))
            assert loader.position == stop
    return [
        [step[m] for m in range(accumulation) for step in steps]
        for steps in zip(*ranks, strict=True)
    ]


def plain(steps):
    return [[(one.tokens.tolist(), one.weight) for one in step] for step in steps]


def test_one_rank_four_accumulations_is_two_by_two_is_four_by_one(samples):
    expected = plain(read_all(samples, 1, 4))
    assert len(expected) == SAMPLES // 8
    assert plain(read_all(samples, 2, 2)) == expected
    assert plain(read_all(samples, 4, 1)) == expected
    flat = [row for step in expected for tokens, _ in step for row in tokens]
    assert flat == samples.read(np.arange(SAMPLES)).tolist()


@pytest.mark.parametrize(("size", "accumulation", "micro"), [(1, 1, 8), (2, 4, 1), (4, 2, 2)])
def test_any_geometry_goes_on_at_the_same_sample(samples, size, accumulation, micro):
    rest = read_all(samples, size, accumulation, micro, start=16)
    flat = [row for step in rest for one in step for row in one.tokens.tolist()]
    assert flat == samples.read(np.arange(16, SAMPLES)).tolist()


def test_weight_counts_the_positions_of_the_whole_step(samples):
    eod = 40
    for size, accumulation in ((1, 4), (2, 2), (4, 1)):
        for step in read_all(samples, size, accumulation, masking=Masking(eod=eod)):
            inputs = np.concatenate([one.tokens[:, :-1].numpy() for one in step])
            masks = np.concatenate([one.loss_mask.numpy() for one in step])
            assert (masks == (inputs != eod)).all()
            assert {one.weight for one in step} == {float(masks.sum())}


def test_weight_summed_by_the_caller(samples):
    geometry = Geometry(micro_batch=2, accumulation=2, data_rank=1, data_size=2)
    masking = Masking(eod=40)
    with Loader(samples, geometry, masking=masking, sum_over_ranks=lambda w: w + 0.5) as loader:
        step = next(loader)
        assert step[0].weight == sum(float(one.loss_mask.sum()) for one in step) + 0.5


def test_running_past_the_order_is_an_error(samples):
    with Loader(samples, Geometry(micro_batch=24, accumulation=1)) as loader:
        assert len([next(loader), next(loader)]) == 2
        with pytest.raises(DataError, match=r"48 to 72.*holds 64.*train_iters"):
            next(loader)
    with pytest.raises(DataError, match="holds 64 samples"):
        samples.read(np.array([64]))


def test_position_is_what_was_handed_out_not_what_was_read_ahead(samples):
    with Loader(samples, Geometry(micro_batch=4, accumulation=1), start=8) as loader:
        assert loader.position == 8
        next(loader)
        assert loader.position == 12


def test_thread_ends(samples):
    before = threading.active_count()
    for _ in range(3):
        with Loader(samples, Geometry(micro_batch=1, accumulation=1)) as loader:
            next(loader)
    assert threading.active_count() == before


def test_foreign_tokens_are_refused(samples):
    masking = Masking(vocab_size=400)
    with (
        Loader(samples, Geometry(micro_batch=64, accumulation=1), masking=masking) as loader,
        pytest.raises(DataError, match="vocabulary ends at 399"),
    ):
        next(loader)


def test_order_inputs_survive_json_and_name_what_changed(samples):
    saved = OrderInputs.from_json(samples.inputs.to_json())
    require_same_order(saved, samples.inputs)
    changed = dataclasses.replace(saved, seed=2, samples=65)
    with pytest.raises(OrderMismatch, match=r"train_iters.*was 64 and is 65.*seed was 1 and is 2"):
        require_same_order(saved, changed)
    other = dataclasses.replace(saved.sets[0], fingerprint="x")
    with pytest.raises(OrderMismatch, match="content of"):
        require_same_order(saved, dataclasses.replace(saved, sets=(other,)))
    with pytest.raises(OrderMismatch, match="another version"):
        OrderInputs.from_json({"samples": 3})
