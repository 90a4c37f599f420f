"""However a batch is cut and whichever engine takes it, the numbers are the same."""

import pytest

from tests.train.equality import (
    ADAM,
    SGD,
    deepspeed_steps,
    largest_difference,
    native,
    native_steps,
    take_steps,
)
from tests.train.ranks import run_ranks

CLOSE = 1e-6


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 0), (2, 1), (4, 1)])
@pytest.mark.slow
def test_deepspeed_equals_native(ranks: int, stage: int) -> None:
    each = run_ranks(ranks, deepspeed_steps, stage, ADAM, "fp32", 1.0)
    assert all(found == each[0] for found in each), "ranks report different numbers"
    assert largest_difference(each[0], native_steps()) < CLOSE


@pytest.mark.slow
def test_deepspeed_equals_native_with_sgd() -> None:
    """Adam divides a wrong factor of the gradients away; SGD shows it in the losses, too."""
    each = run_ranks(2, deepspeed_steps, 0, SGD, "fp32", 1.0)
    assert largest_difference(each[0], native_steps(SGD)) < CLOSE


@pytest.mark.parametrize("optimizer", [ADAM, SGD])
def test_a_gradient_that_is_a_thousandth_wrong_is_seen(optimizer: object) -> None:
    wrong, right = native_steps(optimizer, wrong=1.001), native_steps(optimizer)  # type: ignore[arg-type]
    assert largest_difference(wrong, right) > 100 * CLOSE


@pytest.mark.slow
def test_bf16_on_two_ranks_equals_native() -> None:
    each = run_ranks(2, deepspeed_steps, 1, ADAM, "bf16", 1.0)
    assert largest_difference(each[0], native_steps(precision="bf16")) < CLOSE
    assert largest_difference(each[0], native_steps()) > CLOSE, "this was not bf16"


def test_recomputation_changes_nothing() -> None:
    from neox.parallel.mesh import single_process
    from tests.train.equality import CPU

    mesh = single_process(CPU)
    assert take_steps(native(recompute=1), mesh, steps=4) == take_steps(native(), mesh, steps=4)
