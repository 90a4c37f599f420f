"""Loss of micro-batches: the part that every engine does alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from neox.data.batch import Batch
from neox.objectives.objective import Objective
from neox.parallel.mesh import Mesh
from neox.train.step import EvaluationResult

Backward = Callable[[torch.Tensor], None]


@dataclass(kw_only=True)
class LossSums:
    """Running fp64 sums over micro-batches, on the device."""

    total: torch.Tensor
    weight: torch.Tensor

    def add(self, total: torch.Tensor, weight: torch.Tensor) -> None:
        self.total += total.detach()
        self.weight += weight


def no_losses(device: torch.device) -> LossSums:
    zero = torch.zeros((), dtype=torch.float64, device=device)
    return LossSums(total=zero, weight=zero.clone())


def evaluate(
    model: nn.Module, objective: Objective, batches: Iterable[Batch], mesh: Mesh, *, stop: bool
) -> EvaluationResult:
    """Mean loss over the batches of all ranks. The model comes back in the mode it was in."""
    sums = no_losses(mesh.device)
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in batches:
            here = batch.to(mesh.device)
            parts = objective.loss(model(objective.inputs(here)), here)
            sums.add(parts.total, parts.weight)
    model.train(training)
    result = torch.stack([sums.total, sums.weight, torch.full_like(sums.total, float(stop))])
    if mesh.world_group is not None:
        dist.all_reduce(result, group=mesh.world_group)
    total, weight, stops = result.tolist()
    return EvaluationResult(
        loss=total / weight if weight else float("nan"), weight=weight, stop=stops > 0
    )
