"""However a batch is cut and whichever engine takes it, the numbers are the same."""

import pytest

from neox.parallel.mesh import single_process
from neox.train.optimizers import OptimizerSpec
from tests.train.conftest import FourRanks, TwoRanks
from tests.train.equality import (
    ADAM,
    CPU,
    SGD,
    deepspeed_steps,
    largest_difference,
    native,
    native_steps,
    take_steps,
)
from tests.train.ranks import run_ranks

CLOSE = 1e-6


@pytest.mark.slow
def test_deepspeed_on_one_rank_equals_native() -> None:
    (found,) = run_ranks(1, deepspeed_steps, 0, ADAM, "fp32", 1.0)
    assert largest_difference(found, native_steps()) < CLOSE


@pytest.mark.slow
def test_two_ranks_equal_native(two_ranks: list[TwoRanks]) -> None:
    assert two_ranks[0].stage0 == two_ranks[1].stage0, "ranks report different numbers"
    assert two_ranks[0].stage1 == two_ranks[1].stage1
    assert largest_difference(two_ranks[0].stage0, native_steps()) < CLOSE
    assert largest_difference(two_ranks[0].stage1, native_steps()) < CLOSE


@pytest.mark.slow
def test_sgd_on_two_ranks_equals_native(two_ranks: list[TwoRanks]) -> None:
    """Adam divides a wrong factor of the gradients away; SGD shows it in the losses, too."""
    assert largest_difference(two_ranks[0].sgd, native_steps(SGD)) < CLOSE


@pytest.mark.slow
def test_a_thousandth_is_seen_on_two_ranks(two_ranks: list[TwoRanks]) -> None:
    assert largest_difference(two_ranks[0].wrong, native_steps()) > 100 * CLOSE


@pytest.mark.parametrize("optimizer", [ADAM, SGD])
def test_a_thousandth_is_seen(optimizer: OptimizerSpec) -> None:
    wrong, right = native_steps(optimizer, wrong=1.001), native_steps(optimizer)
    assert largest_difference(wrong, right) > 100 * CLOSE


@pytest.mark.slow
def test_four_ranks_equal_native(four_ranks: list[FourRanks]) -> None:
    assert all(each.stage1 == four_ranks[0].stage1 for each in four_ranks)
    assert largest_difference(four_ranks[0].stage1, native_steps()) < CLOSE


@pytest.mark.slow
def test_bf16_on_two_ranks_equals_native(two_ranks: list[TwoRanks]) -> None:
    assert largest_difference(two_ranks[0].bf16, native_steps(precision="bf16")) < CLOSE
    assert largest_difference(two_ranks[0].bf16, native_steps()) > CLOSE, "this was not bf16"


def test_recomputation_changes_nothing() -> None:
    mesh = single_process(CPU)
    assert take_steps(native(recompute=1), mesh, steps=4) == take_steps(native(), mesh, steps=4)
