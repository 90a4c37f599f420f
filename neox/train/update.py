"""How gradients become new weights: AdamW in one pass where a kernel does it, else torch's."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from neox.ops.adamw import AdamwScalars, AdamwSettings, adamw_, has_kernel
from neox.train.masters import Masters
from neox.train.optimizers import MOMENTS, Adam, Optimizer, moment, set_rate
from neox.train.report import apply_verdict, gradient_factor
from neox.train.step import StepResult


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one update is to do with the gradients."""

    rate: float
    clip: float  # largest global gradient norm; 0 clips nothing
    loss_scale: float


def update(
    optimizer: Optimizer,
    masters: Masters,
    gradients: Sequence[torch.Tensor],
    result: StepResult,
    order: Order,
) -> None:
    """New weights and moments, unless the step was bad; the copies follow, the gradients go.

    `gradients` are those of `masters.gradients()`.
    """
    set_rate(optimizer, order.rate)
    if isinstance(optimizer, Adam) and _in_one_pass(optimizer, masters, gradients):
        _one_pass(optimizer, masters, gradients, result, order)
    else:
        wide = masters.widen_gradients()
        apply_verdict(optimizer, wide, result, clip=order.clip, loss_scale=order.loss_scale)
        optimizer.step()
        masters.refresh()
    masters.clear_gradients()


def _in_one_pass(optimizer: Adam, masters: Masters, gradients: Sequence[torch.Tensor]) -> bool:
    weights, copies = list(masters.named.values()), list(masters.lower.values())
    moments = [moment(optimizer, weights[0], "exp_avg")]
    return has_kernel(weights, copies, gradients, moments)


@torch.no_grad()
def _one_pass(
    optimizer: Adam,
    masters: Masters,
    gradients: Sequence[torch.Tensor],
    result: StepResult,
    order: Order,
) -> None:
    gradient = dict(zip(masters.named.values(), gradients, strict=True))
    copy = {master: masters.lower.get(name) for name, master in masters.named.items()}
    moments = {master: [moment(optimizer, master, kind) for kind in MOMENTS] for master in gradient}
    steps = [optimizer.state[master]["step"] for master in gradient]  # all alike
    taken = (result.bad == 0).to(steps[0].dtype)
    torch._foreach_add_(steps, [taken] * len(steps))  # of one tensor it would wait for its value
    scalars = AdamwScalars(
        rate=torch.full_like(steps[0], order.rate),
        step=steps[0],
        factor=gradient_factor(result, clip=order.clip, loss_scale=order.loss_scale).float(),
        bad=result.bad.float(),
    )
    for group in optimizer.param_groups:
        weights = group["params"]
        adamw_(
            weights,
            [low for low in (copy[weight] for weight in weights) if low is not None],
            [gradient[weight] for weight in weights],
            (
                [moments[weight][0] for weight in weights],
                [moments[weight][1] for weight in weights],
            ),
            scalars,
            _settings(group),
        )


def _settings(group: dict[str, object]) -> AdamwSettings:
    betas = group["betas"]
    assert isinstance(betas, tuple)
    return AdamwSettings(
        beta1=betas[0],
        beta2=betas[1],
        epsilon=group["eps"],  # type: ignore[arg-type]
        decay=group["weight_decay"],  # type: ignore[arg-type]
        decoupled=bool(group["decoupled_weight_decay"]),
    )
