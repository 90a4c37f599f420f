"""Steps, evaluations and saves as lines of events.jsonl."""

from neox.monitor.record import EvaluationRecord, StepRecord
from neox.run.events import EventLog


class Events:
    def __init__(self, log: EventLog) -> None:
        self._log = log

    def on_step(self, record: StepRecord) -> None:
        self._log.write(
            "step",
            step=record.step,
            loss=record.loss,
            loss_hex=record.loss.hex(),
            grad_norm=record.grad_norm,
            grad_norm_hex=record.grad_norm.hex(),
            lr=record.lr,
            bad=record.bad,
            tokens_per_second=round(record.tokens_per_second, 1),
        )

    def on_evaluation(self, record: EvaluationRecord) -> None:
        self._log.write(
            "evaluation",
            step=record.step,
            part=record.part,
            loss=record.loss,
            loss_hex=record.loss.hex(),
        )

    def on_save(self, step: int, path: str) -> None:
        self._log.write("save", step=step, path=path)

    def close(self) -> None:
        pass  # the run closes the log after its last event
