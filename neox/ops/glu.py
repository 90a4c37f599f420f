"""Gated activations (Shazeer 2020) of rows [up, gate]: up x curve(gate), GPT-NeoX's order."""

from typing import Any, Literal

import torch

from neox.ops.gelu import gelu_reference, gelu_slope
from neox.ops.library import Kernel, Launch, define, installed, wide

Curve = Literal["silu", "gelu_exact", "gelu_tanh", "relu"]  # SwiGLU, GeGLU twice, ReGLU
CURVES: tuple[Curve, ...] = ("silu", "gelu_exact", "gelu_tanh", "relu")  # as the kernels count


def glu(x: torch.Tensor, curve: Curve) -> torch.Tensor:
    """x [..., 2 f] -> [..., f]."""
    if installed("glu", x):
        y: torch.Tensor = torch.ops.neox.glu(x, curve)
        return y
    return glu_reference(x, curve)


def glu_reference(x: torch.Tensor, curve: Curve) -> torch.Tensor:
    up, gate = wide(x).chunk(2, dim=-1)
    return (up * _value(gate, curve)).to(x.dtype)


def glu_backward_reference(dy: torch.Tensor, x: torch.Tensor, curve: Curve) -> torch.Tensor:
    up, gate = wide(x).chunk(2, dim=-1)
    d = wide(dy)
    return torch.cat((d * _value(gate, curve), d * up * _slope(gate, curve)), dim=-1).to(x.dtype)


def _value(x: torch.Tensor, curve: Curve) -> torch.Tensor:
    if curve == "silu":
        return x * x.sigmoid()
    return x.relu() if curve == "relu" else gelu_reference(x, curve)


def _slope(x: torch.Tensor, curve: Curve) -> torch.Tensor:
    if curve == "silu":
        s = x.sigmoid()
        return s * (1 + x * (1 - s))
    return (x > 0).to(x.dtype) if curve == "relu" else gelu_slope(x, curve)


# --- the operation -------------------------------------------------------------------------------


def _number(curve: str) -> float:
    return float([str(one) for one in CURVES].index(curve))


def _fake(x: torch.Tensor, curve: str) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-1] // 2)


def _fake_backward(dy: torch.Tensor, x: torch.Tensor, curve: str) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _kernel(launch: Launch, x: torch.Tensor, curve: str) -> torch.Tensor:
    y = _fake(x, curve)
    launch("glu", x.contiguous(), y, _number(curve))
    return y


def _kernel_backward(launch: Launch, dy: torch.Tensor, x: torch.Tensor, curve: str) -> torch.Tensor:
    dx = _fake_backward(dy, x, curve)
    launch("glu_backward", dy.contiguous(), x.contiguous(), dx, _number(curve))
    return dx


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, ctx.curve = inputs
    ctx.save_for_backward(x)


def _gradients(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, None]:
    (x,) = ctx.saved_tensors
    return torch.ops.neox.glu_backward(dy, x, ctx.curve), None


define("glu", "(Tensor x, str curve) -> Tensor", reference=glu_reference, fake=_fake)
define(
    "glu_backward",
    "(Tensor dy, Tensor x, str curve) -> Tensor",
    reference=glu_backward_reference,
    fake=_fake_backward,
)
torch.library.register_autograd("neox::glu", _gradients, setup_context=_keep)
KERNELS: dict[str, Kernel] = {"glu": _kernel, "glu_backward": _kernel_backward}
