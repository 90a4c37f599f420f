"""What is known of a step or an evaluation once its numbers have been read."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    step: int  # 1 for the first
    loss: float  # nats per position that counts
    grad_norm: float  # before clipping
    lr: float
    bad: bool  # not finite: no weight changed
    loss_scale: float
    tokens: int  # of the step, over all ranks
    seconds: float  # from the end of the step before, or from its own beginning after a save
    data_seconds: float  # the host's wait for the batch

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    step: int
    part: str  # "valid", "test"
    loss: float
    seconds: float


class Monitor(Protocol):
    """Something that watches a run, on rank 0."""

    def on_step(self, record: StepRecord) -> None: ...

    def on_evaluation(self, record: EvaluationRecord) -> None: ...

    def on_save(self, step: int, path: str) -> None: ...

    def close(self) -> None: ...
