"""GELU, by the error function or by the tanh that GPT-NeoX's fused kernel uses, and its bias."""

import math
from typing import Any, Literal

import torch
from torch.nn import functional as F

from neox.ops.library import Kernel, Launch, define, installed, wide

Form = Literal["gelu_exact", "gelu_tanh"]


def bias_gelu(x: torch.Tensor, bias: torch.Tensor | None, form: Form) -> torch.Tensor:
    """GELU of x + bias; x [..., n], bias [n]. Where a kernel does it, in one pass each way."""
    if installed("bias_gelu", x, bias):
        y: torch.Tensor = torch.ops.neox.bias_gelu(x, bias, form)
        return y
    return gelu(x if bias is None else x + bias, form)


def gelu(x: torch.Tensor, form: Form) -> torch.Tensor:
    return F.gelu(x, approximate="tanh" if form == "gelu_tanh" else "none")


def gelu_reference(x: torch.Tensor, form: Form) -> torch.Tensor:
    """x Phi(x), or 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): Hendrycks and Gimpel 2016."""
    z = wide(x)
    if form == "gelu_tanh":
        inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        return (0.5 * z * (1 + inner.tanh())).to(x.dtype)
    return (0.5 * z * (1 + torch.erf(z / math.sqrt(2)))).to(x.dtype)


def gelu_slope(x: torch.Tensor, form: Form) -> torch.Tensor:
    """The derivative of GELU."""
    if form == "gelu_tanh":
        c, k = math.sqrt(2 / math.pi), 0.044715
        t = (c * (x + k * x**3)).tanh()
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * k * x * x)
    density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * density


# --- the operation -------------------------------------------------------------------------------

CURVE_NUMBERS: dict[str, float] = {"gelu_exact": 1.0, "gelu_tanh": 2.0}  # enum Curve there


def bias_gelu_reference(x: torch.Tensor, bias: torch.Tensor | None, form: Form) -> torch.Tensor:
    z = wide(x) if bias is None else wide(x) + wide(bias)
    return gelu_reference(z, form).to(x.dtype)


def bias_gelu_backward_reference(
    dy: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None, form: Form
) -> tuple[torch.Tensor, torch.Tensor]:
    """dx, and its sum over the rows (empty without bias)."""
    z = wide(x) if bias is None else wide(x) + wide(bias)
    dx = wide(dy) * gelu_slope(z, form)
    rows = tuple(range(x.ndim - 1))
    return dx.to(x.dtype), x.new_empty(0) if bias is None else dx.sum(dim=rows).to(x.dtype)


def _fake(x: torch.Tensor, bias: torch.Tensor | None, form: str) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _fake_backward(
    dy: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None, form: str
) -> tuple[torch.Tensor, torch.Tensor]:
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    return dx, x.new_empty(0 if bias is None else x.shape[-1])


def _kernel(launch: Launch, x: torch.Tensor, bias: torch.Tensor | None, form: str) -> torch.Tensor:
    y = _fake(x, bias, form)
    launch("bias_gelu", x.contiguous(), bias, y, CURVE_NUMBERS[form])
    return y


def _kernel_backward(
    launch: Launch, dy: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None, form: str
) -> tuple[torch.Tensor, torch.Tensor]:
    dx, dbias = _fake_backward(dy, x, bias, form)
    if not x.numel():
        return dx, dbias.zero_()
    launch(
        "bias_gelu_backward", dy.contiguous(), x.contiguous(), bias, dx,
        None if bias is None else dbias, CURVE_NUMBERS[form],
    )  # fmt: skip
    return dx, dbias


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, bias, ctx.form = inputs
    ctx.save_for_backward(x, bias)


def _gradients(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
    x, bias = ctx.saved_tensors
    dx, dbias = torch.ops.neox.bias_gelu_backward(dy, x, bias, ctx.form)
    return dx, None if bias is None else dbias, None


define(
    "bias_gelu",
    "(Tensor x, Tensor? bias, str form) -> Tensor",
    reference=bias_gelu_reference,
    fake=_fake,
)
define(
    "bias_gelu_backward",
    "(Tensor dy, Tensor x, Tensor? bias, str form) -> (Tensor, Tensor)",
    reference=bias_gelu_backward_reference,
    fake=_fake_backward,
)
torch.library.register_autograd("neox::bias_gelu", _gradients, setup_context=_keep)
KERNELS: dict[str, Kernel] = {"bias_gelu": _kernel, "bias_gelu_backward": _kernel_backward}
