"""Scaled softmax of attention scores, causal or under a mask: GPT-NeoX's two fused kernels."""

import math
from typing import Any

import torch

from neox.ops.library import Kernel, Launch, define, installed, wide

LONGEST = 32_768  # keys


def softmax(
    scores: torch.Tensor, *, scale: float, causal: bool, visible: torch.Tensor | None = None
) -> torch.Tensor:
    """softmax(scale x scores) over the last axis, scores [b, heads, queries, keys].

    Causal: the last query sees all keys, each one before it one key less. `visible` (True where
    seen) broadcasts against the scores. A query that sees nothing gets zeros.
    """
    if scores.shape[-1] <= LONGEST and installed("softmax", scores):
        out: torch.Tensor = torch.ops.neox.softmax(scores, visible, scale, causal)
        return out
    return softmax_reference(scores, visible, scale, causal)


def softmax_reference(
    scores: torch.Tensor, visible: torch.Tensor | None, scale: float, causal: bool
) -> torch.Tensor:
    queries, keys = scores.shape[-2:]
    x = wide(scores) * scale
    if causal:
        seen = torch.ones(queries, keys, dtype=torch.bool, device=scores.device)
        x = x.masked_fill(~seen.tril(keys - queries), -math.inf)
    if visible is not None:
        x = x.masked_fill(~visible, -math.inf)
    if not (causal and keys >= queries and visible is None):  # a row may see nothing
        nothing = (x == -math.inf).all(dim=-1, keepdim=True)
        return (
            x.masked_fill(nothing, 0.0).softmax(dim=-1).masked_fill(nothing, 0.0).to(scores.dtype)
        )
    return x.softmax(dim=-1).to(scores.dtype)


def softmax_backward_reference(
    dout: torch.Tensor, out: torch.Tensor, scale: float, causal: bool
) -> torch.Tensor:
    """scale y (dy - sum(y dy)); y is zero wherever nothing was seen."""
    y, dy = wide(out), wide(dout)
    return (scale * y * (dy - (y * dy).sum(dim=-1, keepdim=True))).to(out.dtype)


def _kernel(
    launch: Launch,
    scores: torch.Tensor,
    visible: torch.Tensor | None,
    scale: float,
    causal: bool,
) -> torch.Tensor:
    scores = scores.contiguous()
    out = torch.empty_like(scores)
    launch("softmax", scores, visible, out, scale, float(causal))
    return out


def _kernel_backward(
    launch: Launch, dout: torch.Tensor, out: torch.Tensor, scale: float, causal: bool
) -> torch.Tensor:
    dscores = torch.empty_like(out)
    launch("softmax_backward", dout.contiguous(), out, dscores, scale, float(causal))
    return dscores


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, _, ctx.scale, ctx.causal = inputs
    ctx.save_for_backward(output)


def _gradients(ctx: Any, dout: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
    (out,) = ctx.saved_tensors
    return torch.ops.neox.softmax_backward(dout, out, ctx.scale, ctx.causal), None, None, None


def _fake(x: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


define(
    "softmax",
    "(Tensor scores, Tensor? visible, float scale, bool causal) -> Tensor",
    reference=softmax_reference,
    fake=_fake,
)
define(
    "softmax_backward",
    "(Tensor dout, Tensor out, float scale, bool causal) -> Tensor",
    reference=softmax_backward_reference,
    fake=_fake,
)
torch.library.register_autograd("neox::softmax", _gradients, setup_context=_keep)
KERNELS: dict[str, Kernel] = {"softmax": _kernel, "softmax_backward": _kernel_backward}
