"""Attention on a packed projection: what is recorded, and cuDNN's kernels beside torch's call."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neox.models.layers import Attention, Context
from neox.ops import cudnn, gemm
from neox.ops import self_attention as room
from neox.ops.attention import attention_reference
from neox.ops.cudnn import packed_attention
from neox.ops.rotary import Rotation, heads_of, rotary_table, rotate_reference_, split_heads
from neox.ops.self_attention import self_attention
from neox.ops.trial import relative_error
from tests.models.variants import PLAIN

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def in_fp64(mixed: Tensor) -> tuple[Tensor, Tensor]:
    """What is attended [b, s, heads, d], and the weights [b, heads, s, s]."""
    query, key, value = heads_of(mixed)
    visible = torch.ones(mixed.shape[1], mixed.shape[1], dtype=torch.bool).tril()
    scores = query @ key.transpose(-1, -2) / math.sqrt(mixed.shape[-1])
    weights = scores.masked_fill(~visible, -math.inf).softmax(dim=-1)
    return (weights @ value).transpose(1, 2), weights


class Plain:
    """What cuDNN does, as formulas."""

    def forward(self, mixed: Tensor) -> tuple[Tensor, Tensor]:
        return in_fp64(mixed)

    def backward(self, gradient: Tensor, mixed: Tensor, out: Tensor, weights: Tensor) -> Tensor:
        query, key, value = heads_of(mixed)
        d_out, scale = gradient.transpose(1, 2), 1 / math.sqrt(mixed.shape[-1])
        d_weights = d_out @ value.transpose(-1, -2)
        inner = (gradient * out).sum(dim=-1).transpose(1, 2)[..., None]
        d_scores = weights * (d_weights - inner) * scale
        parts = (
            d_scores @ key,
            d_scores.transpose(-1, -2) @ query,
            weights.transpose(-1, -2) @ d_out,
        )
        return torch.stack([part.transpose(1, 2) for part in parts], dim=3)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_what_is_recorded_by_finite_differences(
    biased: bool, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, length, heads, dims = 2, 3, 2, 6
    monkeypatch.setattr(room, "packed_attention", lambda mixed: Plain())
    cos, sin = (part.double()[None] for part in rotary_table(length, 4, 9.0, torch.device("cpu")))
    rotation = (cos, sin) if turned else None

    def seen(x: Tensor, bias: Tensor | None = None) -> Tensor:
        whole = x if bias is None else x + bias.detach()
        return self_attention(whole.view(batch, length, heads, 3, dims) * 1, bias, rotation)

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, length, heads * 3 * dims, dtype=torch.float64, generator=generator)
    bias = torch.randn(heads * 3 * dims, dtype=torch.float64, generator=generator)
    given = (x.requires_grad_(), bias.requires_grad_()) if biased else (x.requires_grad_(),)
    assert torch.autograd.gradcheck(seen, given)
    mixed = (x + bias if biased else x).detach().view(batch, length, heads, 3, dims).clone()
    if rotation is not None:
        rotate_reference_(mixed, *rotation, 2)
    torch.testing.assert_close(seen(*given), in_fp64(mixed)[0])


@pytest.mark.parametrize("tuned", [True, False])
def test_a_layer_computes_the_same_either_way(tuned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the projection is a view that the tuned product made."""
    layer = Attention(replace(PLAIN, rotary_dims=4), 0).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.3)
    x = torch.randn(2, 5, PLAIN.hidden_size, dtype=torch.float64, requires_grad=True)
    cos, sin = (part.double()[None] for part in rotary_table(5, 4, 9.0, torch.device("cpu")))
    given = (x, *layer.parameters())

    def gradients() -> tuple[Tensor, ...]:
        added = layer(x, Context((cos, sin))).recorded()
        return (added.detach(), *torch.autograd.grad(added.square().sum(), given))

    apart = gradients()
    monkeypatch.setattr(gemm, "_measured", lambda *tensors: tuned)
    monkeypatch.setattr(room, "packed_attention", lambda mixed: Plain())
    for got, expected in zip(gradients(), apart, strict=True):
        torch.testing.assert_close(got, expected)


def test_a_cpu_has_no_cudnn() -> None:
    assert packed_attention(torch.zeros(1, 4, 2, 3, 8, dtype=torch.bfloat16)) is None


class Found:
    """A frontend that found this version of cuDNN, or none."""

    def __init__(self, version: int | None) -> None:
        self._version = version

    def backend_version(self) -> int:
        if self._version is None:
            raise RuntimeError("Unable to find symbol cudnnGetVersion")
        return self._version


@pytest.mark.parametrize(
    ("installed", "usable"),
    [(None, False), (Found(None), False), (Found(91_000), False), (Found(91_900), True)],
)
def test_a_frontend_is_used_with_torchs_own_cudnn(
    installed: Found | None, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91_900)
    monkeypatch.setitem(sys.modules, "cudnn", installed)  # None: as if it were not there
    assert cudnn._frontend() is (installed if usable else None)


def test_nothing_is_packed_where_there_is_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "packed_attention", lambda mixed: pytest.fail("was asked"))
    mixed = torch.randn(1, 5, 2, 3, 8)
    expected = attention_reference(*heads_of(mixed)).transpose(1, 2)
    torch.testing.assert_close(self_attention(mixed.clone(), None, None), expected)
    with torch.no_grad():
        got = self_attention(mixed.clone().requires_grad_() * 1, None, None)
    torch.testing.assert_close(got, expected)


# --- on a GPU ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def device(device: torch.device) -> torch.device:
    if torch.cuda.get_device_capability(device)[0] < 9:
        pytest.skip("torch takes its flash kernels on this GPU")
    return device


def rotated_by(length: int, dims: int, device: torch.device) -> Rotation:
    cos, sin = rotary_table(length, dims, 10_000.0, device)
    return cos[None], sin[None]


def both_ways(
    mixed: Tensor, rotation: Rotation, weight: Tensor, *, packed: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The result, and the gradients of `mixed` and of a bias that was added to it."""
    x, bias = mixed.clone().requires_grad_(), mixed.new_zeros(mixed.shape[2:].numel())
    bias.requires_grad_()
    if packed:
        assert packed_attention(mixed) is not None
        out = self_attention(x * 1, bias, rotation)
    else:
        query, key, value = split_heads(x * 1, bias, rotation)
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True
        ).transpose(1, 2)
    of_mixed, of_bias = torch.autograd.grad((out * weight).sum(), (x, bias))
    return out.detach(), of_mixed, of_bias


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "shape", [(2, 128, 4, 64), (1, 2048, 3, 128), (3, 100, 2, 80), (2, 65, 1, 128), (1, 2, 2, 64)]
)
def test_cudnn_packed_is_cudnn_and_near_fp64(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    batch, length, heads, dims = shape
    generator = torch.Generator(device).manual_seed(length)
    mixed = torch.randn(batch, length, heads, 3, dims, device=device, generator=generator)
    weight = torch.randn(batch, length, heads, dims, device=device, generator=generator).to(dtype)
    rotation = rotated_by(length, dims // 4, device)
    got = both_ways(mixed.to(dtype), rotation, weight, packed=True)
    apart = both_ways(mixed.to(dtype), rotation, weight, packed=False)
    x = mixed.to(dtype).cpu().double().requires_grad_()
    turned = x * 1
    rotate_reference_(turned, *(part.cpu().double() for part in rotation), 2)
    out = in_fp64(turned)[0]
    (of_mixed,) = torch.autograd.grad((out * weight.cpu().double()).sum(), x)
    exact = (out.detach(), of_mixed, of_mixed.sum(dim=(0, 1)).flatten())
    allowed = 0.02 if dtype == torch.bfloat16 else 0.003
    for mine, torchs, true in zip(got, apart, exact, strict=True):
        error = relative_error(mine, true)
        assert error < allowed
        assert error <= 1.05 * relative_error(torchs, true) + 1e-4


@pytest.mark.gpu
@needs_gpu
def test_where_cudnn_is_not_asked(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    half = torch.zeros(2, 32, 2, 3, 64, device=device, dtype=torch.bfloat16)
    assert packed_attention(half.float()) is None
    assert packed_attention(half.transpose(0, 1)) is None
    assert packed_attention(half) is not None
    cudnn._planned.cache_clear()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        assert packed_attention(half) is None
    cudnn._planned.cache_clear()
    monkeypatch.setitem(sys.modules, "cudnn", None)  # as if it were not installed
    assert packed_attention(half) is None
    cudnn._planned.cache_clear()
