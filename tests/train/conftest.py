"""Importing DeepSpeed takes seconds in each process, so each number of ranks starts only once."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from neox.parallel.mesh import Mesh
from neox.train.precision import Precision
from neox.train.step import EngineState
from tests.train.equality import ADAM, SGD, Numbers, deepspeed, deepspeed_steps, take_steps
from tests.train.memory_checkpoint import MemoryCheckpoint, Plain, plain
from tests.train.ranks import run_ranks

BEFORE, AFTER = 4, 5


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the ranks have: how many threads share a sum decides how it rounds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Saved:
    """What one rank saved after BEFORE steps, and the AFTER steps that it took then."""

    fragments: list[Plain]
    state: EngineState
    after: list[Numbers]


@dataclass(frozen=True)
class TwoRanks:
    stage0: list[Numbers]
    stage1: list[Numbers]
    sgd: list[Numbers]
    wrong: list[Numbers]  # gradients a thousandth too large
    bf16: list[Numbers]
    saved: dict[tuple[int, Precision], Saved]


@dataclass(frozen=True)
class FourRanks:
    stage1: list[Numbers]
    went_on: dict[Precision, list[Numbers]]


def save(mesh: Mesh, stage: int, precision: Precision) -> Saved:
    engine = deepspeed(mesh, stage, ADAM, precision)
    take_steps(engine, mesh, steps=BEFORE)
    fragments, state = plain(engine.fragments()), engine.state()
    return Saved(fragments, state, take_steps(engine, mesh, first=BEFORE, steps=AFTER))


def go_on(mesh: Mesh, precision: Precision, saved: list[Saved]) -> list[Numbers]:
    engine = deepspeed(mesh, 1, ADAM, precision)
    engine.restore(MemoryCheckpoint(piece for one in saved for piece in one.fragments))
    engine.restore_state(saved[0].state)
    return take_steps(engine, mesh, first=BEFORE, steps=AFTER)


def _two(mesh: Mesh) -> TwoRanks:
    kinds: list[tuple[int, Precision]] = [(0, "fp32"), (1, "fp32"), (1, "bf16")]
    return TwoRanks(
        stage0=deepspeed_steps(mesh, 0, ADAM, "fp32", 1.0),
        stage1=deepspeed_steps(mesh, 1, ADAM, "fp32", 1.0),
        sgd=deepspeed_steps(mesh, 1, SGD, "fp32", 1.0),
        wrong=deepspeed_steps(mesh, 1, ADAM, "fp32", 1.001),
        bf16=deepspeed_steps(mesh, 1, ADAM, "bf16", 1.0),
        saved={kind: save(mesh, *kind) for kind in kinds},
    )


def _four(mesh: Mesh, saved: dict[Precision, list[Saved]]) -> FourRanks:
    return FourRanks(
        stage1=deepspeed_steps(mesh, 1, ADAM, "fp32", 1.0),
        went_on={precision: go_on(mesh, precision, one) for precision, one in saved.items()},
    )


@pytest.fixture(scope="session")
def two_ranks() -> list[TwoRanks]:
    return run_ranks(2, _two)


@pytest.fixture(scope="session")
def four_ranks(two_ranks: list[TwoRanks]) -> list[FourRanks]:
    kinds: tuple[Precision, ...] = ("fp32", "bf16")
    return run_ranks(4, _four, {kind: [r.saved[1, kind] for r in two_ranks] for kind in kinds})
