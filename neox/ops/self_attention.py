"""Causal attention within a sequence: of a packed projection, rotated, what the heads attend to."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from neox.ops.attention import attention
from neox.ops.cudnn import PackedAttention, packed_attention
from neox.ops.rotary import Rotation, rotate_, split_heads, turn_gradient_back_


def self_attention(
    mixed: torch.Tensor, bias: torch.Tensor | None, rotation: Rotation | None
) -> torch.Tensor:
    """[b, s, heads, d] of `mixed` [b, s, heads, 3, d]; `split_heads` says what all three are."""
    packed = packed_attention(mixed) if _trains(mixed) else None
    if packed is None:
        return attention(*split_heads(mixed, bias, rotation)).transpose(1, 2)
    cos, sin = (None, None) if rotation is None else rotation
    out: torch.Tensor = _SelfAttention.apply(mixed, bias, cos, sin, packed)  # type: ignore[no-untyped-call]
    return out


def _trains(mixed: torch.Tensor) -> bool:
    """Elsewhere lengths change from call to call, and there is no gradient to be packed."""
    return mixed.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling()


class _SelfAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mixed: torch.Tensor,
        bias: torch.Tensor | None,
        cos: torch.Tensor | None,
        sin: torch.Tensor | None,
        packed: PackedAttention,
    ) -> torch.Tensor:
        mixed = mixed.detach()  # what is kept is not the caller's view, which the rotation outdates
        if cos is not None and sin is not None:
            rotate_(mixed, cos, sin)
        out, lse = packed.forward(mixed)
        ctx.save_for_backward(mixed, out, lse, cos, sin)
        ctx.has_bias, ctx.packed = bias is not None, packed
        return out

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None, None]:
        mixed, out, lse, cos, sin = ctx.saved_tensors
        of_mixed = ctx.packed.backward(gradient, mixed, out, lse)
        of_bias = turn_gradient_back_(of_mixed, cos, sin, sums=ctx.has_bias)
        return of_mixed, of_bias, None, None, None
