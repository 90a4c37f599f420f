"""Layer normalisation over the last axis; statistics in fp32 whatever the dtype."""

import torch
from torch.nn import functional as F


def layer_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """(x - mean) / sqrt(variance + epsilon) x weight + bias; x [..., h], weight and bias [h]."""
    return F.layer_norm(x, weight.shape, weight, bias, epsilon)


def layer_norm_reference(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> torch.Tensor:
    wide = x.float()
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    normal = centred * torch.rsqrt(variance + epsilon)
    return (normal * weight.float() + bias.float()).to(x.dtype)
