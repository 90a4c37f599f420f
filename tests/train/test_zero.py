"""What DeepSpeed's bf16 optimizer leaves to us: the update, and when gradients go."""

import pytest
import torch

from neox.parallel.mesh import Mesh
from neox.train.engine import DeepSpeedEngine
from tests.train.equality import deepspeed, take_steps
from tests.train.ranks import run_ranks
from tests.train.small_model import global_batch

pytestmark = pytest.mark.slow


def weights_of(engine: DeepSpeedEngine) -> list[torch.Tensor]:
    masters = [fragment.data.clone() for fragment in engine.fragments()]
    return [*masters, *(p.detach().clone() for p in engine._engine.module.parameters())]


def around_a_bad_step(mesh: Mesh) -> tuple[bool, int, bool]:
    """Did weights, moments and the model's copies stay; how many updates; is the next one good?"""
    engine = deepspeed(mesh, 1, precision="bf16")
    take_steps(engine, mesh, steps=2)
    before = weights_of(engine)
    bad = [
        type(b)(tokens=b.tokens, loss_mask=b.loss_mask * float("inf"), weight=b.weight)
        for b in global_batch(2)
    ]
    assert float(engine.step(bad, lr=1e-3, stop=False).bad) == 1
    same = all(torch.equal(a, b) for a, b in zip(before, weights_of(engine), strict=True))
    take_steps(engine, mesh, first=3, steps=1)  # asserts that its numbers are finite
    moved = not all(torch.equal(a, b) for a, b in zip(before, weights_of(engine), strict=True))
    return same, engine.state().optimizer_steps, moved


def gradients_before_the_update(mesh: Mesh) -> int:
    """How many bf16 gradients are still there when their fp32 sums are complete."""
    engine, left = deepspeed(mesh, 1, precision="bf16"), []
    read = engine._zero.gradients

    def looked_at() -> list[torch.Tensor]:
        left.append(sum(p.grad is not None for p in engine._engine.module.parameters()))
        return read()

    engine._zero.gradients = looked_at  # type: ignore[method-assign]
    take_steps(engine, mesh, steps=1)
    return left[0]


def test_a_bad_step_in_bf16_changes_nothing() -> None:
    ((same, updates, moved),) = run_ranks(1, around_a_bad_step)
    assert same
    assert updates == 3
    assert moved


def test_bf16_gradients_are_gone_before_the_update() -> None:
    assert run_ranks(1, gradients_before_the_update) == [0]
