"""Linear layers whose products are computed in fp8 (Micikevicius et al. 2022), scaled by tensor.

Each factor is scaled so that its largest magnitude becomes the format's largest number, measured on
the tensor itself: no history, so a resumed run repeats its numbers. Sums are fp32, results and
weights stay in the model's format. Weights and activations are e4m3; gradients, which need more
range, e5m2 in the `hybrid` recipe.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from neox.ops.library import Kernel, Launch, define, installed, wide

TOP = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57_344.0}
MULTIPLE = 16  # of rows and columns, as the tensor cores want them
CAPABILITY = (8, 9)  # the first GPUs that multiply fp8


@dataclass(frozen=True, kw_only=True)
class Recipe:
    hybrid: bool = True  # gradients in e5m2; else e4m3, too
    weight_gradients: bool = True  # their products in fp8, too

    @property
    def of_gradients(self) -> torch.dtype:
        return torch.float8_e5m2 if self.hybrid else torch.float8_e4m3fn


@dataclass(frozen=True, kw_only=True)
class Eight:
    """A matrix in fp8, as it lies and transposed; times `inverse` it is the original."""

    as_is: torch.Tensor  # [rows, columns]
    turned: torch.Tensor  # [columns, rows]
    inverse: torch.Tensor  # scalar, fp32


def fp8_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, recipe: Recipe
) -> torch.Tensor:
    """x weight^T + bias; x [..., in], weight [out, in]; rows, in and out multiples of 16."""
    y: torch.Tensor = _Fp8Linear.apply(x, weight, bias, recipe)  # type: ignore[no-untyped-call]
    return y


class _Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        recipe: Recipe,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a, b = eight(rows, torch.float8_e4m3fn), eight(weight, torch.float8_e4m3fn)
        if recipe.weight_gradients:
            ctx.save_for_backward(a.turned, a.inverse, b.turned, b.inverse)
        else:
            ctx.save_for_backward(rows, None, b.turned, b.inverse)
        ctx.recipe, ctx.biased = recipe, bias is not None
        y = product(a.as_is, a.inverse, b.as_is, b.inverse, x.dtype, bias=bias, fast=True)
        return y.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, None]:
        x, x_inverse, weight, weight_inverse = ctx.saved_tensors
        rows = dy.reshape(-1, dy.shape[-1])
        g = eight(rows, ctx.recipe.of_gradients)
        dx = product(g.as_is, g.inverse, weight, weight_inverse, dy.dtype)
        if x_inverse is None:
            dweight = rows.t() @ x
        else:
            dweight = product(g.turned, g.inverse, x, x_inverse, dy.dtype)
        dbias = rows.sum(dim=0) if ctx.biased else None
        return dx.view(*dy.shape[:-1], dx.shape[-1]), dweight, dbias, None


def product(
    a: torch.Tensor,
    a_inverse: torch.Tensor,
    b: torch.Tensor,
    b_inverse: torch.Tensor,
    dtype: torch.dtype,
    *,
    bias: torch.Tensor | None = None,
    fast: bool = False,
) -> torch.Tensor:
    """a [m, k] b^T [k, n], unscaled, + bias. `fast`: fp32 sums are rounded a little between."""
    if a.is_cuda:
        return torch._scaled_mm(
            a,
            b.t(),
            scale_a=a_inverse,
            scale_b=b_inverse,
            bias=bias,
            out_dtype=dtype,
            use_fast_accum=fast,
        )
    y = (a.float() * a_inverse) @ (b.float() * b_inverse).t()
    return (y if bias is None else y + wide(bias)).to(dtype)


def eight(x: torch.Tensor, dtype: torch.dtype) -> Eight:
    """x [rows, columns] in fp8, scaled by its own largest magnitude."""
    assert x.shape[0] % MULTIPLE == 0 and x.shape[1] % MULTIPLE == 0, tuple(x.shape)
    if installed("fp8_cast", x):
        as_is, turned, inverse = torch.ops.neox.fp8_cast(x, TOP[dtype])
    else:
        as_is, turned, inverse = fp8_cast_reference(x, TOP[dtype])
    return Eight(as_is=as_is.view(dtype), turned=turned.view(dtype), inverse=inverse)


# --- the operation -------------------------------------------------------------------------------

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def fp8_cast_reference(x: torch.Tensor, top: float) -> Three:
    """The bytes as x lies, those of its transpose, and the inverse of the scale."""
    dtype = next(one for one, largest in TOP.items() if largest == top)
    largest = x.abs().amax().float()
    scale = torch.where(largest > 0, top / largest, torch.ones_like(largest))
    as_is = (x.float() * scale).clamp(-top, top).to(dtype)
    turned = as_is.view(torch.uint8).t().contiguous()
    return as_is.view(torch.uint8), turned, scale.reciprocal()


def _fake(x: torch.Tensor, top: float) -> Three:
    rows, columns = x.shape
    return (
        x.new_empty((rows, columns), dtype=torch.uint8),
        x.new_empty((columns, rows), dtype=torch.uint8),
        x.new_empty((), dtype=torch.float32),
    )


def _kernel(launch: Launch, x: torch.Tensor, top: float) -> Three:
    outputs = _fake(x, top)
    x = x.contiguous()
    largest = torch.zeros((), dtype=torch.float32, device=x.device)
    launch("largest_magnitude", x, largest)
    launch("fp8_cast", x, largest, *outputs, top, float(top == TOP[torch.float8_e5m2]))
    return outputs


define(
    "fp8_cast",
    "(Tensor x, float top) -> (Tensor, Tensor, Tensor)",
    reference=fp8_cast_reference,
    fake=_fake,
)
KERNELS: dict[str, Kernel] = {"fp8_cast": _kernel}
