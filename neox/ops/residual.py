"""The residual stream's sum and the norms that read it, in one pass over memory."""

from collections.abc import Sequence

import torch

from neox.ops.layer_norm import fused_norms, kernel_fits, layer_norm

ScaleAndShift = tuple[torch.Tensor, torch.Tensor]  # weight and bias, each [h]


def residual_layer_norms(
    x: torch.Tensor,
    added: Sequence[torch.Tensor],
    norms: Sequence[ScaleAndShift],
    epsilon: float,
) -> tuple[torch.Tensor, ...]:
    """x + all of `added`, then one normalised copy of that sum for each of up to two `norms`.

    All of x and `added` are [..., h]. One pass over memory where a kernel does it, which is why a
    layer leaves its sum to the next layer's norm.
    """
    few = 0 < len(norms) <= 2 and len(added) <= 2
    if few and kernel_fits(len(norms), x, *added, *(one for pair in norms for one in pair)):
        return fused_norms(x, added, norms, epsilon)
    for part in added:
        x = x + part
    return x, *(layer_norm(x, weight, bias, epsilon) for weight, bias in norms)
