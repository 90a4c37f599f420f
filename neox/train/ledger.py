"""Steps whose numbers were not read yet. They are read one step late, so that no rank waits."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from neox.monitor.record import Monitor, StepRecord
from neox.run.failure import BadNumbers
from neox.train.host_copy import HostCopy

BAD_STEPS_IN_A_ROW = 3
OVERFLOWS_IN_A_ROW = 50  # a dynamic loss scale needs some; GPT-NeoX gives up here, too


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A step that was launched."""

    step: int
    numbers: HostCopy  # of `StepResult.together`
    lr: float
    loss_scale: float
    tokens: int
    began: float  # by `time.perf_counter`, before its batch was asked for
    data_seconds: float

    def read(self, last_end: float) -> tuple[StepRecord, bool]:
        """What there is to know of it, and whether some rank was asked to stop.

        It took from the end of the step before; where a save or an evaluation lay between, from
        its own beginning.
        """
        loss, norm, bad, stop = self.numbers.read().tolist()
        record = StepRecord(
            step=self.step,
            loss=loss,
            grad_norm=norm,
            lr=self.lr,
            bad=bad > 0,
            loss_scale=self.loss_scale,
            tokens=self.tokens,
            seconds=self.numbers.arrived_at - max(self.began, last_end),
            data_seconds=self.data_seconds,
        )
        return record, stop > 0


class Ledger:
    """Reads results in order, passes them on, and gives up when numbers stay bad."""

    def __init__(self, monitors: Sequence[Monitor], *, patience: int) -> None:
        self._monitors = monitors
        self._patience = patience
        self._pending: deque[Pending] = deque()
        self._bad_in_a_row = 0
        self._last_end = -math.inf

    def add(self, pending: Pending) -> None:
        self._pending.append(pending)

    def settle(self, *, keep: int) -> bool:
        """Read all but the `keep` newest. True when one of them was asked to stop.

        Raises BadNumbers after too many steps without finite numbers; the same on all ranks.
        """
        stop = False
        while len(self._pending) > keep:
            pending = self._pending.popleft()
            record, asked = pending.read(self._last_end)
            self._last_end = pending.numbers.arrived_at
            for monitor in self._monitors:
                monitor.on_step(record)
            self._guard(record)
            stop |= asked
        return stop

    def _guard(self, record: StepRecord) -> None:
        self._bad_in_a_row = self._bad_in_a_row + 1 if record.bad else 0
        if self._bad_in_a_row >= self._patience:
            raise BadNumbers(
                f"loss or gradients were not finite in {self._bad_in_a_row} steps in a row, up to "
                f"step {record.step}; the last checkpoint is sound: lower lr, look at the data of "
                "these steps, or use precision: bfloat16 instead of fp16"
            )
