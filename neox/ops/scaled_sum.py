"""A gradient that was made in parts, before the loss told what to multiply it by."""

from collections.abc import Sequence

import torch

from neox.ops.chunks import PARTS_AT_ONCE
from neox.ops.library import Kernel, Launch, define, installed


def scaled_sum(
    parts: Sequence[torch.Tensor], factor: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """factor (one number) times the sum of the parts, added up in fp32 and rounded once."""
    if len(parts) <= PARTS_AT_ONCE and parts[0].dtype == dtype and installed("scaled_sum", *parts):
        total: torch.Tensor = torch.ops.neox.scaled_sum(parts, factor.float())
        return total
    total = parts[0] if len(parts) == 1 else added_up(parts)
    return torch.mul(total, factor, out=torch.empty_like(total, dtype=dtype))


def added_up(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Their sum, in fp32 whatever their format."""
    total = parts[0].to(torch.promote_types(parts[0].dtype, torch.float32), copy=True)
    for part in parts[1:]:
        total += part
    return total


# --- the operation -------------------------------------------------------------------------------


def scaled_sum_reference(parts: Sequence[torch.Tensor], factor: torch.Tensor) -> torch.Tensor:
    return (added_up(parts) * factor).to(parts[0].dtype)


def _fake(parts: Sequence[torch.Tensor], factor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(parts[0], memory_format=torch.contiguous_format)


def _kernel(launch: Launch, parts: Sequence[torch.Tensor], factor: torch.Tensor) -> torch.Tensor:
    out = _fake(parts, factor)
    launch("scaled_sum", factor, out, *(part.contiguous() for part in parts))
    return out


define(
    "scaled_sum",
    "(Tensor[] parts, Tensor factor) -> Tensor",
    reference=scaled_sum_reference,
    fake=_fake,
)
KERNELS: dict[str, Kernel] = {"scaled_sum": _kernel}
