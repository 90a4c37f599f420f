"""The feed-forward block by its kernel, beside the same by separate products and passes."""

import pytest
import torch

from neox.models.layers import FeedForward
from neox.models.spec import ModelSpec
from neox.ops.feed_forward import kernel_fits
from tests.models.variants import PLAIN

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]


@pytest.fixture(scope="module")
def device(device: torch.device) -> torch.device:
    if torch.cuda.get_device_capability(device) != (9, 0):
        pytest.skip("the kernel is for sm_90a alone")
    return device


def drawn(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> FeedForward:
    torch.manual_seed(3)
    layer = FeedForward(spec)
    with torch.no_grad():
        for one in layer.parameters():
            one.normal_(std=0.3)
    return layer.to(device, dtype)


def outcome(layer: FeedForward, x: torch.Tensor) -> list[torch.Tensor]:
    layer.zero_grad()
    x = x.detach().requires_grad_()
    part = layer(x).part
    (part * torch.linspace(-1, 1, part.numel(), device=x.device).view_as(part)).sum().backward()
    found = [part.detach(), x.grad, *(one.grad for one in layer.parameters())]
    return [one for one in found if one is not None]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_as_close_to_the_truth_as_separate_passes(
    device: torch.device, dtype: torch.dtype, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth: the same weights and input in fp64."""
    spec = ModelSpec(**{**vars(PLAIN), "hidden_size": 136, "ffn_size": 520, "mlp_bias": biased})
    layer = drawn(spec, device, dtype)
    x = torch.randn(3, 50, 136, device=device, dtype=dtype)
    assert kernel_fits(
        x.requires_grad_(), layer.linear1.weight, layer.linear1.bias, layer.linear2.weight
    )
    fused = outcome(layer, x)
    monkeypatch.setattr("neox.models.layers.kernel_fits", lambda *_: False)
    apart, truth = outcome(layer, x), outcome(layer.double(), x.double())
    assert len(fused) == len(truth) == (5 if biased else 4)
    for one, other, exact in zip(fused, apart, truth, strict=True):
        error, usual = ((found - exact).norm() / exact.norm() for found in (one, other))
        assert error < max(1.5 * usual, 1e-4), (error, usual)


def test_where_no_slope_is_asked_for_the_passes_are_separate(device: torch.device) -> None:
    layer, x = drawn(PLAIN, device, torch.bfloat16), torch.randn(2, 32, device=device)
    x = x.bfloat16().requires_grad_()
    given = (layer.linear1.weight, layer.linear1.bias, layer.linear2.weight)
    assert kernel_fits(x, *given)
    with torch.no_grad():
        assert not kernel_fits(x, *given)
    assert not kernel_fits(x.detach(), *given)
    single = [one if one is None else one.detach().float() for one in (x, *given)]
    assert not kernel_fits(single[0].requires_grad_(), *single[1:])
    assert not kernel_fits(x[:0], *given)
