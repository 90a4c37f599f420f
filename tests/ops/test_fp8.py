"""fp8 products against those of the numbers that fp8 holds, and against the exact ones."""

import pytest
import torch

from neox.ops.fp8 import TOP, Recipe, eight, fp8_linear


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", TOP)
def test_a_matrix_in_fp8_is_the_nearest_there_is(dtype: torch.dtype) -> None:
    x = random(32, 48, seed=1) * 37
    found = eight(x, dtype)
    assert found.as_is.float().abs().max() == TOP[dtype]  # the scale uses the whole range
    assert torch.equal(found.turned.float(), found.as_is.float().t())
    # every number that the format has, the slow and obvious way
    codes = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    codes = codes[codes.isfinite()].double() * found.inverse.double()
    nearest = (x.double()[..., None] - codes).abs().amin(dim=-1)
    error = (found.as_is.float() * found.inverse - x).abs()
    torch.testing.assert_close(error.double(), nearest, atol=1e-4, rtol=1e-3)


def test_zeros_stay_zeros() -> None:
    found = eight(torch.zeros(16, 16), torch.float8_e4m3fn)
    assert not found.as_is.float().any() and float(found.inverse) == 1.0


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(hybrid=False, weight_gradients=False)])
def test_a_linear_layer_and_its_gradients(recipe: Recipe) -> None:
    x = random(2, 16, 64, seed=1).requires_grad_()
    weight = random(32, 64, seed=2).requires_grad_()
    bias = random(32, seed=3).requires_grad_()
    upstream = random(2, 16, 32, seed=4)
    got = fp8_linear(x, weight, bias, recipe)
    expected = torch.nn.functional.linear(x, weight, bias)
    found = torch.autograd.grad(got, (x, weight, bias), upstream)
    wanted = torch.autograd.grad(expected, (x, weight, bias), upstream)
    # three bits of mantissa (two in e5m2): a relative error of 2^-4 (2^-3) each, averaged out
    for one, other, most in zip(
        (got, *found), (expected, *wanted), (4e-2, 6e-2, 6e-2, 1e-6), strict=True
    ):
        apart = float(((one - other).norm() / other.norm()).detach())
        assert apart < most
    assert (found[1] == wanted[1]).all() == (not recipe.weight_gradients)
