"""The log that people read: one line every `log_interval` steps."""

import math
from collections.abc import Callable

from neox.models.count import FlopsPerToken
from neox.monitor.record import EvaluationRecord, StepRecord

Print = Callable[[str], None]


class StepLog:
    """Means over the steps since the last line; TFLOP/s are per rank, by both conventions."""

    def __init__(
        self, *, total_steps: int, interval: int, ranks: int, flops: FlopsPerToken, say: Print
    ) -> None:
        self._total_steps = total_steps
        self._interval = interval
        self._ranks = ranks
        self._flops = flops
        self._say = say
        self._since: list[StepRecord] = []

    def on_step(self, record: StepRecord) -> None:
        self._since.append(record)
        if record.bad:
            self._say(
                f"step {record.step:,}: loss or gradients are not finite; no weight changed"
                + (f", loss scale {record.loss_scale:g}" if record.loss_scale != 1.0 else "")
            )
        if record.step % self._interval == 0 or record.step == self._total_steps:
            self._say(self._line())
            self._since.clear()

    def on_evaluation(self, record: EvaluationRecord) -> None:
        self._say(
            f"step {record.step:,}: {record.part} loss {record.loss:.4f}, "
            f"perplexity {_perplexity(record.loss)}, {record.seconds:.1f} s"
        )

    def on_save(self, step: int, path: str) -> None:
        self._say(f"step {step:,}: saving {path}")

    def close(self) -> None:
        pass

    def _line(self) -> str:
        records = self._since
        last = records[-1]
        good = [record.loss for record in records if not record.bad]
        loss = sum(good) / len(good) if good else math.nan
        data = sum(record.data_seconds for record in records)
        seconds = max(sum(record.seconds for record in records), 1e-9)
        tokens = sum(record.tokens for record in records) / seconds
        full, causal = (
            tokens / self._ranks * flops / 1e12 for flops in (self._flops.full, self._flops.causal)
        )
        return (
            f"step {last.step:,}/{self._total_steps:,}  loss {loss:.4f}  lr {last.lr:.3e}  "
            f"grad norm {last.grad_norm:.3f}  {tokens:,.0f} tokens/s "
            f"({tokens / self._ranks:,.0f} per rank)  "
            f"TFLOP/s per rank {full:.3g} full, {causal:.3g} causal  "
            f"{seconds / len(records):.3g} s a step (data {100 * data / seconds:.1f} %)"
        )


def _perplexity(loss: float) -> str:
    return f"{math.exp(loss):,.2f}" if loss < 50 else "huge"
