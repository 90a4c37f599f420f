"""Rotary position embedding (Su et al. 2021) over the leading dims of each head, by halves."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from neox.ops.library import Kernel, Launch, define, installed, wide

LONGEST_HALF = 128  # of a head's turned dims, for the kernel
Rotation = tuple[torch.Tensor, torch.Tensor]  # cos, sin [1 or b, s, dims / 2], fp32


def rotary_table(positions: int, dims: int, base: float, device: torch.device) -> Rotation:
    """cos and sin of position x base^(-2i/dims), each [positions, dims / 2] in fp32."""
    exponent = torch.arange(0, dims, 2, dtype=torch.float32, device=device) / dims
    frequency = 1.0 / base**exponent
    angle = torch.arange(positions, dtype=torch.float32, device=device)[:, None] * frequency
    return angle.cos(), angle.sin()


def split_heads(
    mixed: torch.Tensor, bias: torch.Tensor | None, rotation: Rotation | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value [b, heads, s, d] as views of `mixed`, query and key rotated in place.

    `mixed` [b, s, heads, 3, d] must be the caller's own buffer that no other gradient needs: a
    product to which the linear layer added `bias` [heads x 3 x d] without recording it. The
    gradient of the bias is made here, in the pass that puts the three gradients together.
    """
    cos, sin = (None, None) if rotation is None else rotation
    query, key, value = _SplitHeads.apply(mixed, bias, cos, sin)  # type: ignore[no-untyped-call]
    return query, key, value


class _SplitHeads(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mixed: torch.Tensor,
        bias: torch.Tensor | None,
        cos: torch.Tensor | None,
        sin: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(cos, sin)
        ctx.has_bias = bias is not None
        if cos is not None and sin is not None:
            rotate_(mixed, cos, sin)
        return heads_of(mixed)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        mixed, bias = join_gradients(query, key, value, *ctx.saved_tensors, sums=ctx.has_bias)
        return mixed, bias, None, None


def rotate_(mixed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, turned: int = 2) -> None:
    """Turn the pairs (i, i + dims / 2) of query and key, in place and computed in fp32.

    mixed [b, s, groups, parts, d], of each group the first `turned` parts turn: of packed [head,
    {q, k, v}] two, of grouped queries all but the value. cos and sin [1 or b, s, dims / 2]. What
    lies beyond `dims` stays.
    """
    if cos.shape[-1] <= LONGEST_HALF and installed("rotate_", mixed):
        torch.ops.neox.rotate_(mixed, cos, sin, turned)
    else:
        rotate_reference_(mixed, cos, sin, turned)


def rotate_reference_(
    mixed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, turned: int
) -> None:
    half = cos.shape[-1]
    cos, sin = cos[:, :, None, None], sin[:, :, None, None]
    first, second = mixed[..., :turned, :half], mixed[..., :turned, half : 2 * half]
    a, b = wide(first), wide(second)
    new_first, new_second = a * cos - b * sin, b * cos + a * sin
    first.copy_(new_first)
    second.copy_(new_second)


def join_gradients(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    *,
    sums: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The gradient of `mixed` [b, s, heads, 3, d], turned back, and its sum over b and s."""
    if installed("join_heads", query, key, value):
        mixed, summed = torch.ops.neox.join_heads(query, key, value, cos, sin, sums)
    else:
        mixed, summed = join_reference(query, key, value, cos, sin, sums)
    return mixed, summed if sums else None


def turn_gradient_back_(
    mixed: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, *, sums: bool
) -> torch.Tensor | None:
    """The same where the gradients already lie in `mixed`, which is turned in place."""
    if cos is None and not sums:
        return None
    if installed("turn_back_", mixed):
        summed = torch.ops.neox.turn_back_(mixed, cos, sin, sums)
    else:
        summed = turn_back_reference_(mixed, cos, sin, sums)
    return summed if sums else None


def join_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    sums: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    mixed = torch.stack([part.transpose(1, 2) for part in (query, key, value)], dim=3)
    return mixed, turn_back_reference_(mixed, cos, sin, sums)


def turn_back_reference_(
    mixed: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, sums: bool
) -> torch.Tensor:
    if cos is not None and sin is not None:
        rotate_reference_(mixed, cos, -sin, 2)
    return mixed.sum(dim=(0, 1)).flatten() if sums else mixed.new_empty(0)


def heads_of(mixed: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Query, key and value [b, heads, s, d] as views of `mixed` [b, s, heads, 3, d]."""
    return tuple(part.transpose(1, 2) for part in mixed.unbind(dim=3))


# --- the operations ------------------------------------------------------------------------------


def _kernel(
    launch: Launch, mixed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, turned: int
) -> None:
    launch("rotary", mixed, cos.contiguous(), sin.contiguous(), float(turned), 1.0)


def _fake_join(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    sums: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, heads, length, dims = query.shape
    mixed = query.new_empty(batch, length, heads, 3, dims)
    return mixed, query.new_empty(heads * 3 * dims if sums else 0)


def _kernel_join(
    launch: Launch,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    sums: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    mixed, summed = _fake_join(query, key, value, cos, sin, sums)
    parts = [part if part.stride(-1) == 1 else part.contiguous() for part in (query, key, value)]
    _launch_join(launch, parts, cos, sin, mixed, summed)
    return mixed, summed


def _fake_turn_back(
    mixed: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, sums: bool
) -> torch.Tensor:
    return mixed.new_empty(mixed.shape[2:].numel() if sums else 0)


def _kernel_turn_back(
    launch: Launch,
    mixed: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    sums: bool,
) -> torch.Tensor:
    summed = _fake_turn_back(mixed, cos, sin, sums)
    _launch_join(launch, heads_of(mixed), cos, sin, mixed, summed)
    return summed


def _launch_join(
    launch: Launch,
    parts: Sequence[torch.Tensor],
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    mixed: torch.Tensor,
    summed: torch.Tensor,
) -> None:
    if not mixed.numel():
        summed.zero_()
        return
    angles = [None if one is None else one.contiguous() for one in (cos, sin)]
    launch("join_heads", *parts, *angles, mixed, summed if summed.numel() else None)


define(
    "rotate_",
    "(Tensor(a!) mixed, Tensor cos, Tensor sin, int turned) -> ()",
    reference=rotate_reference_,
    fake=lambda *_: None,
)
define(
    "join_heads",
    "(Tensor query, Tensor key, Tensor value, Tensor? cos, Tensor? sin, bool sums)"
    " -> (Tensor, Tensor)",
    reference=join_reference,
    fake=_fake_join,
)
define(
    "turn_back_",
    "(Tensor(a!) mixed, Tensor? cos, Tensor? sin, bool sums) -> Tensor",
    reference=turn_back_reference_,
    fake=_fake_turn_back,
)
KERNELS: dict[str, Kernel] = {
    "rotate_": _kernel,
    "join_heads": _kernel_join,
    "turn_back_": _kernel_turn_back,
}
