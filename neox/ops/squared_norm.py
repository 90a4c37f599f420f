"""The sum of the squares of many tensors, in fp64: what the gradient's norm is made of."""

from collections.abc import Sequence

import torch

from neox.ops.library import Kernel, Launch, define, installed


def squared_norm(tensors: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    """A scalar on their device; one pass over memory where a kernel takes them all."""
    if not tensors:
        return torch.zeros((), dtype=torch.float64, device=device)
    if installed("squared_norm", *tensors):
        total: torch.Tensor = torch.ops.neox.squared_norm(tensors)
        return total
    return squared_norm_reference(tensors)


# --- the operation -------------------------------------------------------------------------------


def squared_norm_reference(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    norms = torch._foreach_norm(list(tensors), 2, dtype=torch.float64)
    return torch.stack(norms).square().sum()


def _fake(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return tensors[0].new_empty((), dtype=torch.float64)


def _kernel(launch: Launch, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    out = _fake(tensors)
    launch("squared_norm", out, *(one.contiguous() for one in tensors))
    return out


define("squared_norm", "(Tensor[] tensors) -> Tensor", reference=squared_norm_reference, fake=_fake)
KERNELS: dict[str, Kernel] = {"squared_norm": _kernel}
