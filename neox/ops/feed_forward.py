"""Two linear layers with a GELU between them, where kernels multiply and apply it in one.

The slope of GELU is kept, and not what it is the slope of: the product on the way back needs no
more. So neither direction has a pass of its own over the widest tensor of a layer.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from neox.ops.gelu import CURVE_NUMBERS, Form, gelu_reference, gelu_slope
from neox.ops.gemm import DTYPES, gemm
from neox.ops.library import Kernel, Launch, define, installed, wide

MULTIPLE = 8  # of features, for loads of 16 bytes


def kernel_fits(
    x: torch.Tensor, up: torch.Tensor, bias: torch.Tensor | None, down: torch.Tensor
) -> bool:
    """Is there a kernel, for a GPU of sm_90a, and a gradient that asks for slopes?

    torch.compile has a choice of its own.
    """
    return (
        x.requires_grad
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and x.dtype in DTYPES
        and x.numel() > 0
        and installed("gemm_gelu", x, up, bias, down)
        and all(size % MULTIPLE == 0 for size in up.shape)
    )


def feed_forward(
    x: torch.Tensor,
    up: torch.Tensor,
    bias: torch.Tensor | None,
    down: torch.Tensor,
    down_bias: torch.Tensor | None,
    form: Form,
) -> torch.Tensor:
    """gelu(x up^T + bias) down^T + down_bias; x [..., h], up [f, h], bias [f], down [h, f]."""
    y: torch.Tensor = _FeedForward.apply(x, up, bias, down, down_bias, form)  # type: ignore[no-untyped-call]
    return y


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        up: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        down_bias: torch.Tensor | None,
        form: Form,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        inner, slope = torch.ops.neox.gemm_gelu(rows, up, bias, form)
        ctx.save_for_backward(rows, up, inner, slope, down)
        return gemm("forward", inner, down, down_bias).view(*x.shape[:-1], down.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, up, inner, slope, down = ctx.saved_tensors
        rows = dy.reshape(-1, dy.shape[-1])
        of_x, of_up, of_bias, of_down, of_down_bias, _ = ctx.needs_input_grad
        da, dbias = torch.ops.neox.gemm_gelu_backward(rows, down, slope, of_bias)
        return (
            gemm("dgrad", da, up).view(*dy.shape[:-1], up.shape[1]) if of_x else None,
            gemm("wgrad", da, x) if of_up else None,
            dbias if of_bias else None,
            gemm("wgrad", rows, inner) if of_down else None,
            rows.sum(dim=0) if of_down_bias else None,
            None,
        )


# --- the operations ------------------------------------------------------------------------------

Two = tuple[torch.Tensor, torch.Tensor]


def gemm_gelu_reference(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, form: Form
) -> Two:
    """gelu(x weight^T + bias) and its slope there; x [m, k], weight [n, k], bias [n]."""
    a = wide(x) @ wide(weight).t()
    a = a if bias is None else a + wide(bias)
    return gelu_reference(a, form).to(x.dtype), gelu_slope(a, form).to(x.dtype)


def gemm_gelu_backward_reference(
    dy: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, sums: bool
) -> Two:
    """(dy weight) slope, and its sum over the rows (empty unless asked for); weight [k, n]."""
    da = (wide(dy) @ wide(weight)) * wide(slope)
    return da.to(dy.dtype), da.sum(dim=0).to(dy.dtype) if sums else dy.new_empty(0)


def _fake(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, form: Form) -> Two:
    shape = (x.shape[0], weight.shape[0])
    return x.new_empty(shape), x.new_empty(shape)


def _fake_backward(dy: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, sums: bool) -> Two:
    return dy.new_empty(slope.shape), dy.new_empty(slope.shape[1] if sums else 0)


def _aligned(x: torch.Tensor) -> torch.Tensor:
    x = x.contiguous()
    return x if x.data_ptr() % 16 == 0 else x.clone()


def _kernel(
    launch: Launch, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, form: Form
) -> Two:
    y, slope = _fake(x, weight, bias, form)
    bias = None if bias is None else _aligned(bias)
    launch("gemm_gelu", _aligned(x), _aligned(weight), bias, y, slope, CURVE_NUMBERS[form])
    return y, slope


def _kernel_backward(
    launch: Launch, dy: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, sums: bool
) -> Two:
    da, total = _fake_backward(dy, weight, slope, sums)
    given = (_aligned(one) for one in (dy, weight, slope))
    launch("gemm_gelu_backward", *given, da, total if sums else None)
    return da, total


define(
    "gemm_gelu",
    "(Tensor x, Tensor weight, Tensor? bias, str form) -> (Tensor, Tensor)",
    reference=gemm_gelu_reference,
    fake=_fake,
)
define(
    "gemm_gelu_backward",
    "(Tensor dy, Tensor weight, Tensor slope, bool sums) -> (Tensor, Tensor)",
    reference=gemm_gelu_backward_reference,
    fake=_fake_backward,
)
KERNELS: dict[str, Kernel] = {"gemm_gelu": _kernel, "gemm_gelu_backward": _kernel_backward}
