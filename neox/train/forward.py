"""Loss of micro-batches: the part that every engine does alike."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from neox.data.batch import Batch
from neox.models.transformer import Transformer
from neox.objectives.objective import LossParts, Objective
from neox.parallel.mesh import Mesh
from neox.train.step import EvaluationResult


class Trainee(nn.Module):
    """A model together with what it is trained for: from a batch on the device to its loss."""

    def __init__(self, model: Transformer, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self._objective = objective

    def forward(self, batch: Batch) -> LossParts:
        hidden = self.model.hidden(
            self._objective.inputs(batch), documents=batch.documents, positions=batch.positions
        )
        return self._objective.loss(hidden, self.model.output_matrix, batch)


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
    trainee: nn.Module, batches: Iterable[Batch], mesh: Mesh, *, stop: bool
) -> EvaluationResult:
    """Mean loss over the batches of all ranks. The model comes back in the mode it was in."""
    sums = no_losses(mesh.device)
    training = trainee.training
    trainee.eval()
    with torch.no_grad():
        for batch in batches:
            here = batch.to(mesh.device)
            parts: LossParts = trainee(here)
            sums.add(parts.total, parts.weight)
    trainee.train(training)
    result = torch.stack([sums.total, sums.weight, torch.full_like(sums.total, float(stop))])
    if mesh.world_group is not None:
        dist.all_reduce(result, group=mesh.world_group)
    total, weight, stops = result.tolist()
    return EvaluationResult(
        loss=total / weight if weight else float("nan"), weight=weight, stop=stops > 0
    )
