"""The feed-forward block whose products take GELU with them, by its references on the CPU."""

import pytest
import torch

from neox.kernels.gemm import Kind
from neox.models.layers import FeedForward
from neox.ops import feed_forward as room
from neox.ops.feed_forward import feed_forward, kernel_fits
from neox.ops.gelu import Form, bias_gelu
from neox.ops.gemm import gemm, linear
from neox.ops.install import all_kernels
from tests.models.variants import PLAIN

HIDDEN, WIDE = 6, 10
FORMS: tuple[Form, ...] = ("gelu_exact", "gelu_tanh")


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def parameters(biased: bool) -> tuple[torch.Tensor, torch.Tensor | None, ...]:
    biases = (drawn(WIDE), drawn(HIDDEN)) if biased else (None, None)
    return drawn(WIDE, HIDDEN), biases[0], drawn(HIDDEN, WIDE), biases[1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_two_linear_layers_and_gelu(form: Form, biased: bool) -> None:
    torch.manual_seed(0)
    x, given = drawn(2, 3, HIDDEN), parameters(biased)
    up, bias, down, down_bias = given
    weight = torch.randn(2, 3, HIDDEN, dtype=torch.float64)
    apart = linear(bias_gelu(linear(x, up, None), bias, form), down, down_bias)
    together = feed_forward(x, *given, form)
    torch.testing.assert_close(together, apart)
    wanted = [x, *(one for one in given if one is not None)]
    torch.testing.assert_close(
        torch.autograd.grad((together * weight).sum(), wanted),
        torch.autograd.grad((apart * weight).sum(), wanted),
    )


@pytest.mark.parametrize("form", FORMS)
def test_its_gradients_by_finite_differences(form: Form) -> None:
    torch.manual_seed(1)
    x, given = drawn(3, HIDDEN), parameters(biased=True)
    assert torch.autograd.gradcheck(lambda *all_: feed_forward(*all_, form), (x, *given))


def test_nothing_is_computed_for_what_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []

    def counted(kind: Kind, *operands: torch.Tensor | None) -> torch.Tensor:
        kinds.append(kind)
        return gemm(kind, *operands)

    monkeypatch.setattr(room, "gemm", counted)
    x, (up, bias, down, down_bias) = drawn(3, HIDDEN), parameters(biased=True)
    assert bias is not None and down_bias is not None
    for one in (up, bias, down, down_bias):
        one.requires_grad_(False)
    feed_forward(x, up, bias, down, down_bias, "gelu_exact").sum().backward()
    assert x.grad is not None
    assert up.grad is bias.grad is down.grad is down_bias.grad is None
    assert kinds == ["forward", "dgrad"]


def test_the_kernel_is_for_training_on_a_gpu() -> None:
    x, (up, bias, down, _) = drawn(3, HIDDEN), parameters(biased=True)
    assert not kernel_fits(x, up, bias, down)


def test_a_layer_takes_it_where_the_kernel_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sum, and the gradient of the second bias left to whoever makes that sum."""
    torch.manual_seed(2)
    layer, x = FeedForward(PLAIN).double(), drawn(2, 3, PLAIN.hidden_size)
    with torch.no_grad():
        for one in layer.parameters():
            one.normal_()
    outcomes = []
    for fits in (False, True):
        monkeypatch.setattr("neox.models.layers.kernel_fits", lambda *_, fits=fits: fits)
        layer.zero_grad()
        added = layer(x)
        assert added.bias is layer.linear2.bias
        added.part.square().sum().backward()
        assert layer.linear2.bias.grad is None
        wanted = (layer.linear1.weight, layer.linear1.bias, layer.linear2.weight)
        outcomes.append([added.part.detach(), *(one.grad for one in wanted)])
    torch.testing.assert_close(outcomes[1], outcomes[0])


def test_shapes_without_computing() -> None:
    x, weight = torch.empty(5, 16, device="meta"), torch.empty(24, 16, device="meta")
    y, slope = torch.ops.neox.gemm_gelu(x, weight, None, "gelu_exact")
    assert y.shape == slope.shape == (5, 24)
    back = weight.new_empty(16, 24)
    da, sums = torch.ops.neox.gemm_gelu_backward(x, back, slope, True)
    assert (da.shape, sums.shape) == ((5, 24), (24,))
    assert torch.ops.neox.gemm_gelu_backward(x, back, slope, False)[1].shape == (0,)


def test_kernels_of_the_room_are_not_for_every_gpu() -> None:
    assert not set(room.KERNELS) & set(all_kernels())
