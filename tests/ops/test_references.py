"""Each op equals its plain arithmetic, forward and backward."""

import math

import pytest
import torch

from neox.ops.attention import attention, attention_reference
from neox.ops.gelu import Form, gelu, gelu_reference
from neox.ops.layer_norm import layer_norm, layer_norm_reference
from neox.ops.rotary import rotary_table, rotate


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_alike(got: torch.Tensor, expected: torch.Tensor, *inputs: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(got)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked: bool) -> None:
    query, key, value = (random(2, 3, 9, 8, seed=seed) for seed in range(3))
    visible = None
    if masked:
        visible = torch.rand(2, 1, 9, 9) < 0.5
        visible[..., 0] = True
    assert_alike(
        attention(query, key, value, visible=visible),
        attention_reference(query, key, value, visible=visible),
        query,
        key,
        value,
    )


@pytest.mark.parametrize("form", ["gelu_exact", "gelu_tanh"])
def test_gelu(form: Form) -> None:
    x = random(100)
    assert_alike(gelu(x, form), gelu_reference(x, form), x)


def test_the_two_gelus_differ() -> None:
    x = random(100)
    assert (gelu(x, "gelu_exact") - gelu(x, "gelu_tanh")).abs().max() > 1e-4


def test_layer_norm() -> None:
    x, weight, bias = random(4, 6, 16), random(16, seed=1), random(16, seed=2)
    assert_alike(
        layer_norm(x, weight, bias, 1e-2), layer_norm_reference(x, weight, bias, 1e-2),
        x, weight, bias,
    )  # fmt: skip


@pytest.mark.parametrize("dims", [2, 4, 8])
def test_rotary_is_a_complex_rotation(dims: int) -> None:
    """Pair (i, i + dims/2) as a complex number times e^(i position base^(-2i/dims))."""
    x = random(5, 8).detach()
    cos, sin = rotary_table(5, dims, 100.0, torch.device("cpu"))
    got = rotate(x, cos, sin)
    for position in range(5):
        for pair in range(dims // 2):
            angle = position * 100.0 ** (-2 * pair / dims)
            z = complex(x[position, pair], x[position, pair + dims // 2])
            z *= complex(math.cos(angle), math.sin(angle))
            assert got[position, pair].item() == pytest.approx(z.real, abs=1e-6)
            assert got[position, pair + dims // 2].item() == pytest.approx(z.imag, abs=1e-6)
    assert torch.equal(got[:, dims:], x[:, dims:])
