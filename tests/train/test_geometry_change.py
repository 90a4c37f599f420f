"""What one geometry saved, another goes on from."""

import pytest

from neox.parallel.mesh import single_process
from neox.train.precision import Precision
from tests.train.conftest import AFTER, BEFORE, FourRanks, TwoRanks
from tests.train.equality import CPU, largest_difference, native, take_steps
from tests.train.memory_checkpoint import MemoryCheckpoint, plain


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "precision"), [(1, "fp32"), (0, "fp32"), (1, "bf16")])
def test_native_goes_on_from_two_ranks(
    two_ranks: list[TwoRanks], stage: int, precision: Precision
) -> None:
    saved = [rank.saved[stage, precision] for rank in two_ranks]
    assert saved[0].state.optimizer_steps == BEFORE
    engine, mesh = native(precision=precision), single_process(CPU)
    engine.restore(MemoryCheckpoint(piece for one in saved for piece in one.fragments))
    engine.restore_state(saved[0].state)
    found = take_steps(engine, mesh, first=BEFORE, steps=AFTER)
    assert largest_difference(found, saved[0].after) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_four_ranks_go_on_from_two(
    two_ranks: list[TwoRanks], four_ranks: list[FourRanks], precision: Precision
) -> None:
    expected = two_ranks[0].saved[1, precision].after
    assert largest_difference(four_ranks[0].went_on[precision], expected) < 1e-6


def test_native_goes_on_bit_for_bit() -> None:
    mesh = single_process(CPU)
    first = native()
    take_steps(first, mesh, steps=BEFORE)
    saved, state = plain(first.fragments()), first.state()
    second = native()
    second.restore(MemoryCheckpoint(saved))
    second.restore_state(state)
    after = take_steps(first, mesh, first=BEFORE, steps=AFTER)
    assert take_steps(second, mesh, first=BEFORE, steps=AFTER) == after


def test_without_its_moments_a_run_goes_on_otherwise() -> None:
    mesh = single_process(CPU)
    first = native()
    take_steps(first, mesh, steps=BEFORE)
    second = native()
    second.restore(MemoryCheckpoint(plain(first.fragments())), weights_only=True)
    after = take_steps(first, mesh, first=BEFORE, steps=AFTER)
    assert take_steps(second, mesh, first=BEFORE, steps=AFTER) != after
