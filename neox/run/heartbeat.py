"""`state/heartbeat`: rank 0 says "PHASE STEP SECONDS", and job.sh takes a long silence for a hang.

SECONDS is how long the last step took, rounded up. job.sh reads the line with bash alone, because
Python may be what hangs; how long each phase may be silent stands in the script (submit/watch.py).
Until the first step is done there is no file: that is the start-up.
"""

import contextlib
import math
import time
from pathlib import Path
from typing import Literal

from neox.run.stop import write_aside

Phase = Literal["step", "save", "evaluate"]
EVERY_SECONDS = 1.0  # a shared file system is not asked more often


class Heartbeat:
    """The sign of life of rank 0; on other ranks it does nothing."""

    def __init__(self, path: Path, *, first: bool, every_seconds: float = EVERY_SECONDS) -> None:
        self._path = path
        self._first = first
        self._every = every_seconds
        self._phase: Phase | None = None
        self._last_step: tuple[int, float] | None = None
        self._next_write = 0.0
        self._step_seconds = 0.0

    def beat(self, phase: Phase, step: int) -> None:
        """Alive in `phase`, after or during `step`. A full disk does not end the training here."""
        if not self._first:
            return
        now = time.monotonic()
        if phase == "step":
            self._measure(step, now)
        if phase == self._phase and now < self._next_write:
            return
        self._phase, self._next_write = phase, now + self._every
        with contextlib.suppress(OSError):
            write_aside(self._path, f"{phase} {step} {math.ceil(self._step_seconds)}\n")

    def _measure(self, step: int, now: float) -> None:
        """The time of a step that no save or evaluation lengthened."""
        if self._phase == "step" and self._last_step is not None:
            before, then = self._last_step
            self._step_seconds = (now - then) / max(1, step - before)
        self._last_step = (step, now)
