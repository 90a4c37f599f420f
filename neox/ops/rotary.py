"""Rotary position embedding (Su et al. 2021) over the leading dims of each head, by halves."""

import torch


def rotary_table(
    positions: int, dims: int, base: float, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of position x base^(-2i/dims), each [positions, dims / 2] in fp32."""
    exponent = torch.arange(0, dims, 2, dtype=torch.float32, device=device) / dims
    frequency = 1.0 / base**exponent
    angle = torch.arange(positions, dtype=torch.float32, device=device)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn the pairs (i, i + dims / 2) of the last axis; what lies beyond `dims` stays.

    x [..., head_dim]; cos and sin [..., dims / 2], broadcast against x. Computed in fp32 (the
    table's dtype), returned in the dtype of x.
    """
    half = cos.shape[-1]
    # one split, whose backward pass is one concatenation; slices would each fill a whole gradient
    first, second, rest = x.split_with_sizes((half, half, x.shape[-1] - 2 * half), dim=-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return torch.cat((*(part.to(x.dtype) for part in turned), rest), dim=-1)
