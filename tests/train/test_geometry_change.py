"""What one geometry saved, another goes on from."""

import pytest

from neox.parallel.mesh import Mesh, single_process
from neox.train.precision import Precision
from neox.train.step import EngineState
from tests.train.equality import (
    ADAM,
    CPU,
    Numbers,
    deepspeed,
    largest_difference,
    native,
    take_steps,
)
from tests.train.memory_checkpoint import MemoryCheckpoint, Plain, plain
from tests.train.ranks import run_ranks

BEFORE, AFTER = 4, 5


def save(
    mesh: Mesh, stage: int, precision: Precision
) -> tuple[list[Plain], EngineState, list[Numbers]]:
    engine = deepspeed(mesh, stage, ADAM, precision)
    take_steps(engine, mesh, steps=BEFORE)
    saved = plain(engine.fragments())
    return saved, engine.state(), take_steps(engine, mesh, first=BEFORE, steps=AFTER)


def go_on(
    mesh: Mesh, stage: int, precision: Precision, saved: list[Plain], state: EngineState
) -> list[Numbers]:
    engine = deepspeed(mesh, stage, ADAM, precision)
    engine.restore(MemoryCheckpoint(saved))
    engine.restore_state(state)
    return take_steps(engine, mesh, first=BEFORE, steps=AFTER)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "precision"), [(1, "fp32"), (0, "fp32"), (1, "bf16")])
def test_saved_on_two_ranks_goes_on_on_four_and_in_native(
    stage: int, precision: Precision
) -> None:
    ranks = run_ranks(2, save, stage, precision)
    saved = [piece for pieces, _, _ in ranks for piece in pieces]
    _, state, expected = ranks[0]
    assert state.optimizer_steps == BEFORE

    engine, mesh = native(precision=precision), single_process(CPU)
    engine.restore(MemoryCheckpoint(saved))
    engine.restore_state(state)
    found = take_steps(engine, mesh, first=BEFORE, steps=AFTER)
    assert largest_difference(found, expected) < 1e-6

    if stage == 1:
        found = run_ranks(4, go_on, 1, precision, saved, state)[0]
        assert largest_difference(found, expected) < 1e-6


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
