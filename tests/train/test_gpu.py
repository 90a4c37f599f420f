"""On a GPU: the fused update, its skip without waiting, and fp16 with its loss scale."""

from collections.abc import Iterator

import pytest
import torch

from neox.data.errors import DataError
from neox.parallel.mesh import Mesh, single_process
from neox.run.processes import join, leave
from neox.run.rank import read_rank
from neox.train.corpus import WeightSum
from neox.train.host_copy import HostCopy
from neox.train.loss_scale import LossScaleSpec
from neox.train.native import NativeEngine
from neox.train.optimizers import OptimizerSpec
from neox.train.precision import Precision
from tests.train.equality import ADAM, deepspeed, largest_difference, native_steps, take_steps
from tests.train.small_model import global_batch, trainee

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]


def on_gpu(
    precision: Precision, optimizer: OptimizerSpec = ADAM, scale: LossScaleSpec | None = None
) -> NativeEngine:
    mesh = single_process(torch.device("cuda", 0))
    return NativeEngine(
        trainee(),
        mesh,
        optimizer=optimizer,
        precision=precision,
        loss_scale=scale or LossScaleSpec(initial_power=10),
    )


@pytest.mark.parametrize(("precision", "close"), [("fp32", 1e-4), ("bf16", 2e-2), ("fp16", 5e-3)])
def test_every_precision_follows_the_cpu(precision: Precision, close: float) -> None:
    engine = on_gpu(precision)
    found = take_steps(engine, single_process(torch.device("cuda", 0)))
    assert largest_difference(found, native_steps()) < close
    assert engine.state().optimizer_steps == len(found)


def test_a_scale_that_overflows_falls_until_steps_are_taken() -> None:
    engine = on_gpu("fp16", scale=LossScaleSpec(initial_power=40, hysteresis=1))
    before = [f.data.clone() for f in engine.fragments()]
    assert float(engine.step(global_batch(0), lr=1e-3, stop=False).bad) == 1
    assert all(torch.equal(f.data, b) for f, b in zip(engine.fragments(), before, strict=True))
    assert engine.loss_scale == 2.0**39
    for _ in range(40):
        result = engine.step(global_batch(0), lr=1e-3, stop=False)
        if float(result.bad) == 0:
            break
    assert engine.state().optimizer_steps == 1
    assert 0.5 < float(result.grad_norm) < 2.0  # unscaled


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_waits_for_nothing_on_the_device(precision: Precision) -> None:
    engine = on_gpu(precision)
    take_steps(engine, single_process(torch.device("cuda", 0)), steps=2)
    torch.cuda.set_sync_debug_mode("error")  # what would wait raises
    try:
        numbers = HostCopy(engine.step(global_batch(2), lr=1e-3, stop=True).together())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert numbers.read()[2:].tolist() == [0, 1]


@pytest.fixture
def group_of_one() -> Iterator[Mesh]:
    yield join(read_rank({}), torch.device("cuda", 0), alone_needs_group=True)
    leave()


def test_zero_1_waits_for_nothing_either(group_of_one: Mesh) -> None:
    engine = deepspeed(group_of_one, 1, precision="bf16")
    take_steps(engine, group_of_one, steps=2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        numbers = HostCopy(engine.step(global_batch(2), lr=1e-3, stop=True).together())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert numbers.read()[2:].tolist() == [0, 1]


def test_a_weight_is_summed_without_waiting(group_of_one: Mesh) -> None:
    weight = WeightSum(group_of_one)
    weight(3.0)  # NCCL begins
    torch.cuda.synchronize()
    torch.cuda._sleep(2_000_000_000)
    busy = torch.cuda.Event()
    busy.record()
    total = weight(0.0)
    assert not busy.query(), "it waited for the step before"
    assert isinstance(total, torch.Tensor)
    with pytest.raises(DataError, match="labels mask all"):
        weight(3.0)


def test_a_steps_numbers_do_not_wait_for_the_next_step() -> None:
    engine = on_gpu("bf16")
    expected = engine.step(global_batch(0), lr=1e-3, stop=False).together()
    numbers, later = HostCopy(expected), torch.cuda.Event()
    torch.cuda._sleep(2_000_000_000)  # cycles: about a second
    later.record()
    found = numbers.read()
    assert not later.query(), "it waited for what was launched after the step"
    assert torch.equal(found, expected.cpu())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_bad_step_is_skipped_on_the_device(precision: Precision) -> None:
    engine = on_gpu(precision)
    take_steps(engine, single_process(torch.device("cuda", 0)), steps=2)
    before = [f.data.clone() for f in engine.fragments()]
    bad = [
        type(b)(tokens=b.tokens, loss_mask=b.loss_mask * float("inf"), weight=b.weight)
        for b in global_batch(2)
    ]
    assert float(engine.step(bad, lr=1e-3, stop=False).bad) == 1
    assert all(torch.equal(f.data, b) for f, b in zip(engine.fragments(), before, strict=True))
    assert engine.state().optimizer_steps == 2
