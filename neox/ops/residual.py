"""The residual stream's sum and the norms that read it, in one pass over memory."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from neox.ops.layer_norm import fused_norms, kernel_fits, layer_norm

ScaleAndShift = tuple[torch.Tensor, torch.Tensor]  # weight and bias, each [h]


class Added(NamedTuple):
    """A part [..., h] of the sum, made by a linear layer that added its bias without recording it.

    The bias's gradient is that of the sum, added up over the rows, which is at hand where a norm's
    backward pass makes it; the layer would read the whole of it once more.
    """

    part: torch.Tensor
    bias: torch.Tensor | None = None  # [h]; None: the part has none, or recorded it

    def recorded(self) -> torch.Tensor:
        """The part alone; the bias gets its gradient from it."""
        if self.bias is None:
            return self.part
        part: torch.Tensor = _Recorded.apply(self.part, self.bias)  # type: ignore[no-untyped-call]
        return part


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        del ctx, bias  # only the gradient needs them
        return part.view_as(part)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        del ctx
        return gradient, gradient.sum(dim=tuple(range(gradient.ndim - 1)))


def residual_layer_norms(
    x: torch.Tensor,
    added: Sequence[Added],
    norms: Sequence[ScaleAndShift],
    epsilon: float,
) -> tuple[torch.Tensor, ...]:
    """x + all of `added`, then one normalised copy of that sum for each of up to two `norms`.

    All of x and `added` are [..., h]. One pass over memory where a kernel does it, which is why a
    layer leaves its sum to the next layer's norm.
    """
    parts = [one.part for one in added]
    held = [one.bias for one in added if one.bias is not None]
    few = 0 < len(norms) <= 2 and len(added) <= 2
    others = (*parts, *held, *(one for pair in norms for one in pair))
    if few and kernel_fits(len(norms), x, *others):
        return fused_norms(x, parts, held, norms, epsilon)
    for one in added:
        x = x + one.recorded()
    return x, *(layer_norm(x, weight, bias, epsilon) for weight, bias in norms)
