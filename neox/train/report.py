"""What all ranks learn about a step, in the one all-reduce over the world that it makes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from neox.ops.ranges import span
from neox.ops.squared_norm import squared_norm
from neox.parallel.mesh import Mesh
from neox.train.optimizers import Optimizer
from neox.train.step import StepResult


@dataclass(frozen=True, kw_only=True)
class RankReport:
    """One rank's share. `gradients` are disjoint over the ranks, or counted by rank 0 alone."""

    loss_sum: torch.Tensor  # fp64 scalar
    weight: torch.Tensor  # fp64 scalar
    stop: bool
    gradients: Sequence[torch.Tensor]
    counts: bool  # does this rank's share of gradients enter the norm?


def world_report(report: RankReport, mesh: Mesh, loss_scale: float) -> StepResult:
    """Sum over the world. The norm is accumulated in fp64, and is that of unscaled gradients."""
    squared = squared_norm(report.gradients, mesh.device)
    bad = ~(torch.isfinite(report.loss_sum) & torch.isfinite(squared))
    stop = torch.full_like(squared, float(report.stop))
    counted = squared if report.counts else torch.zeros_like(squared)
    total = torch.stack([report.loss_sum, report.weight, bad.double(), stop, counted])
    if mesh.world_group is not None:
        with span("all-reduce of the step's numbers"):
            dist.all_reduce(total, group=mesh.world_group)
    return StepResult(
        loss=total[0] / total[1],
        grad_norm=total[4].sqrt() / loss_scale,
        bad=total[2],
        stop=total[3],
    )


def gradient_factor(result: StepResult, *, clip: float, loss_scale: float) -> torch.Tensor:
    """What gradients are multiplied by: the loss scale undone, the global norm at most `clip`."""
    factor = torch.full_like(result.grad_norm, 1.0 / loss_scale)
    if clip > 0:
        factor *= (clip / result.grad_norm).clamp(max=1.0)
    return factor


def apply_verdict(
    optimizer: Optimizer,
    gradients: Sequence[torch.Tensor],
    result: StepResult,
    *,
    clip: float,
    loss_scale: float,
) -> None:
    """Clip by the global norm and undo the loss scale; arrange that a bad step changes nothing."""
    factor = gradient_factor(result, clip=clip, loss_scale=loss_scale)
    if result.bad.is_cuda:
        optimizer.found_inf = (result.bad > 0).float()
        optimizer.grad_scale = factor.reciprocal().float()
        return
    optimizer.skip = bool(result.bad > 0)
    if not optimizer.skip and float(factor) != 1.0:
        torch._foreach_mul_(list(gradients), float(factor))
