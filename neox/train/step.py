"""What the loop asks of an engine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from neox.checkpoint.fragment import Fragment, FragmentReader
from neox.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Device scalars of one step, equal on all ranks.

    All four come out of one all-reduce over the world; the loop reads a `HostCopy` one step late.
    """

    loss: torch.Tensor  # fp64: global sum of losses / global weight
    grad_norm: torch.Tensor  # fp64, before clipping
    bad: torch.Tensor  # ranks whose loss or gradient was not finite; if any, no weight changed
    stop: torch.Tensor  # number of ranks that were asked to stop

    def together(self) -> torch.Tensor:
        """[loss, grad_norm, bad, stop]"""
        return torch.stack([self.loss, self.grad_norm, self.bad, self.stop])


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    loss: float  # mean over all positions that count
    weight: float
    stop: bool = False  # was any rank asked to stop?


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """What is not a tensor of the model; the same on all ranks, whatever the geometry."""

    optimizer_steps: int
    loss_scale: float
    loss_scale_patience: int
    loss_scale_good_steps: int


class Engine(Protocol):
    name: str  # printed in the plan: "native", "deepspeed, ZeRO 1"

    @property
    def loss_scale(self) -> float:
        """1 where the precision needs none."""

    def step(self, batches: Sequence[Batch], *, lr: float, stop: bool) -> StepResult:
        """Train on this data rank's micro-batches of one global batch."""

    def evaluate(self, batches: Iterable[Batch], *, stop: bool = False) -> EvaluationResult:
        """Mean loss over the batches of all ranks; every rank gives as many batches."""

    def fragments(self) -> Iterator[Fragment]:
        """This rank's share of weights and moments; together the ranks cover all, once."""

    def restore(self, reader: FragmentReader, *, weights_only: bool = False) -> None:
        """Read this rank's share, before the first step or after any, whoever wrote it."""

    def state(self) -> EngineState: ...

    def restore_state(self, state: EngineState) -> None: ...
