"""How a job is told to stop, and how it says that it saved. Rank 0 alone."""

import json
import os
import time
from pathlib import Path

from neox.run.paths import RunPaths

LOOK_SECONDS = 5.0


class StopWatch:
    """Looks at `state/stop`, at most every few seconds; once asked it stays asked."""

    def __init__(self, stop: Path, *, first: bool, look_seconds: float = LOOK_SECONDS) -> None:
        self._stop = stop
        self._first = first
        self._look_seconds = look_seconds
        self._next_look = 0.0
        self._asked = False

    def asked(self) -> bool:
        """True on rank 0 alone; the others learn it from the step's all-reduce."""
        if self._first and not self._asked and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._look_seconds
            self._asked = self._stop.exists()
        return self._asked


def write_saved(paths: RunPaths, job_id: str, step: int) -> None:
    """The run stopped, not finished, and this step's checkpoint is published."""
    write_aside(paths.saved(job_id), json.dumps({"step": step}) + "\n")


def write_done(paths: RunPaths, step: int) -> None:
    """Nothing is left to do in this run."""
    write_aside(paths.done, json.dumps({"step": step}) + "\n")


def write_aside(path: Path, text: str) -> None:
    """The whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
