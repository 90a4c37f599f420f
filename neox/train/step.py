"""What the loop asks of an engine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from neox.checkpoint.fragment import Fragment, FragmentReader
from neox.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Device scalars of one step, equal on all ranks; reading them waits for the step.

    All four come out of one all-reduce over the world; the loop reads them one step late.
    """

    loss: torch.Tensor  # fp64: global sum of losses / global weight
    grad_norm: torch.Tensor  # fp64, before clipping
    bad: torch.Tensor  # number of ranks whose loss or gradient was not finite
    stop: torch.Tensor  # number of ranks that were asked to stop


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    loss: float  # mean over all positions that count
    weight: float


class Engine(Protocol):
    name: str  # printed in the plan: "native", "deepspeed, ZeRO 1"

    def step(self, batches: Sequence[Batch], *, lr: float, stop: bool) -> StepResult:
        """Train on this data rank's micro-batches of one global batch."""

    def evaluate(self, batches: Iterable[Batch]) -> EvaluationResult: ...

    def fragments(self) -> Iterator[Fragment]:
        """This rank's share of weights and moments; together the ranks cover all, once."""

    def restore(self, reader: FragmentReader) -> None: ...

    def state(self) -> dict[str, object]:
        """What is not a tensor of the model, as JSON: optimizer steps, loss scaler."""

    def restore_state(self, state: dict[str, object]) -> None: ...
