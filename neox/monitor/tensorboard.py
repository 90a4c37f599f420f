"""The same numbers for TensorBoard, over steps."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from neox.monitor.record import EvaluationRecord, StepRecord


class TensorBoard:
    def __init__(self, folder: Path, *, first_step: int) -> None:
        """Numbers of steps after `first_step` that an earlier job left are hidden."""
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def on_step(self, record: StepRecord) -> None:
        values = {
            "train/loss": record.loss,
            "train/grad_norm": record.grad_norm,
            "train/lr": record.lr,
            "time/tokens_per_second": record.tokens_per_second,
            "time/step_seconds": record.seconds,
            "time/data_seconds": record.data_seconds,
        }
        for name, value in values.items():
            self._add(name, value, record.step)

    def on_evaluation(self, record: EvaluationRecord) -> None:
        self._add(f"{record.part}/loss", record.loss, record.step)

    def on_save(self, step: int, path: str) -> None:
        pass

    def close(self) -> None:
        self._writer.close()

    def _add(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)
