"""One AdamW update of many tensors (Loshchilov and Hutter 2019), everything in one pass.

Weights are fp32; beside each may lie a copy in the format that the model computes in, which the
update refreshes. The gradient's factor (clipping, loss scale) and the verdict about the step are
read on the device, so that nothing waits for them and a CUDA graph can replay the update.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from neox.ops.library import Kernel, Launch, define, installed, wide

Tensors = Sequence[torch.Tensor]
# what the kernel was compiled for: copy (None: no copy), gradient, moments
COMPILED = frozenset(
    {
        (None, torch.float32, torch.float32),
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float16, torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float16, torch.float16, torch.float32),
        (torch.bfloat16, torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.bfloat16, torch.bfloat16),
    }
)


@dataclass(frozen=True, kw_only=True)
class AdamwSettings:
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0
    decoupled: bool = True  # False: the decay joins the gradient


@dataclass(frozen=True, kw_only=True)
class AdamwScalars:
    """One fp32 number each, on the device."""

    rate: torch.Tensor
    step: torch.Tensor  # which update this is, from 1
    factor: torch.Tensor  # gradients are multiplied by it
    bad: torch.Tensor  # above 0: change nothing


def adamw_(
    weights: Tensors,
    copies: Tensors,  # as many as weights, or none
    gradients: Tensors,
    moments: tuple[Tensors, Tensors],
    scalars: AdamwScalars,
    settings: AdamwSettings,
) -> None:
    """Update weights, moments and copies in place. Within each list one dtype."""
    if not weights:
        return
    kernel = has_kernel(weights, copies, gradients, moments[0])
    update = torch.ops.neox.adamw_ if kernel else adamw_reference_
    update(
        weights, copies, gradients, *moments,
        scalars.rate, scalars.step, scalars.factor, scalars.bad,
        settings.beta1, settings.beta2, settings.epsilon, settings.decay, settings.decoupled,
    )  # fmt: skip


def has_kernel(weights: Tensors, copies: Tensors, gradients: Tensors, moments: Tensors) -> bool:
    """Does a kernel update tensors of these kinds? Each list has one dtype."""
    kinds = (copies[0].dtype if copies else None, gradients[0].dtype, moments[0].dtype)
    return kinds in COMPILED and installed("adamw_", *weights)


def adamw_reference_(
    weights: Tensors,
    copies: Tensors,
    gradients: Tensors,
    exp_avg: Tensors,
    exp_avg_sq: Tensors,
    rate: torch.Tensor,
    step: torch.Tensor,
    factor: torch.Tensor,
    bad: torch.Tensor,
    beta1: float,
    beta2: float,
    epsilon: float,
    decay: float,
    decoupled: bool,
) -> None:
    good = bad <= 0
    first = -torch.expm1(step * math.log(beta1))  # 1 - beta^step, exact also where that is small
    second = -torch.expm1(step * math.log(beta2))
    for index, weight in enumerate(weights):
        g = wide(gradients[index]) * factor
        if not decoupled:
            g = g + decay * weight
        m = beta1 * wide(exp_avg[index]) + (1 - beta1) * g
        v = beta2 * wide(exp_avg_sq[index]) + (1 - beta2) * g * g
        old = weight * (1 - rate * decay) if decoupled else weight
        new = old - rate / first * m / ((v / second).sqrt() + epsilon)
        weight.copy_(torch.where(good, new, weight))
        exp_avg[index].copy_(torch.where(good, m, wide(exp_avg[index])))
        exp_avg_sq[index].copy_(torch.where(good, v, wide(exp_avg_sq[index])))
        if copies:
            copies[index].copy_(weight)


def _kernel(
    launch: Launch,
    weights: Tensors,
    copies: Tensors,
    gradients: Tensors,
    exp_avg: Tensors,
    exp_avg_sq: Tensors,
    rate: torch.Tensor,
    step: torch.Tensor,
    factor: torch.Tensor,
    bad: torch.Tensor,
    beta1: float,
    beta2: float,
    epsilon: float,
    decay: float,
    decoupled: bool,
) -> None:
    lows = copies if copies else [None] * len(weights)
    fives = zip(weights, lows, gradients, exp_avg, exp_avg_sq, strict=True)
    launch(
        "adamw", rate, step, factor, bad, beta1, beta2, epsilon, decay, float(decoupled),
        *(one for five in fives for one in five),
    )  # fmt: skip


define(
    "adamw_",
    "(Tensor(a!)[] weights, Tensor(b!)[] copies, Tensor[] gradients, Tensor(c!)[] exp_avg,"
    " Tensor(d!)[] exp_avg_sq, Tensor rate, Tensor step, Tensor factor, Tensor bad, float beta1,"
    " float beta2, float epsilon, float decay, bool decoupled) -> ()",
    reference=adamw_reference_,
    fake=lambda *_: None,
)
KERNELS: dict[str, Kernel] = {"adamw_": _kernel}
