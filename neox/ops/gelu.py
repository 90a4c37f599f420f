"""GELU, by the error function or by the tanh that GPT-NeoX's fused kernel uses."""

import math
from typing import Literal

import torch
from torch.nn import functional as F

Form = Literal["gelu_exact", "gelu_tanh"]


def gelu(x: torch.Tensor, form: Form) -> torch.Tensor:
    return F.gelu(x, approximate="tanh" if form == "gelu_tanh" else "none")


def gelu_reference(x: torch.Tensor, form: Form) -> torch.Tensor:
    """x Phi(x), or 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): Hendrycks and Gimpel 2016."""
    wide = x.float()
    if form == "gelu_tanh":
        inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
        return (0.5 * wide * (1 + inner.tanh())).to(x.dtype)
    return (0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))).to(x.dtype)
