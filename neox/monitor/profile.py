"""Some steps under torch's profiler: a trace for a viewer, and the dearest operators as a table."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity

ROWS = 30  # operators in the table


class StepProfiler:
    """Records the steps `first` to `last` (counted from 1, both included) of this process.

    A trace holds what lies between these steps too, such as the logs; it ends when the step after
    `last` begins, or with the run. Where a run starts behind `first`, the steps that are left are
    recorded; behind `last`, none.
    """

    def __init__(
        self, folder: Path, name: str, *, first: int, last: int, say: Callable[[str], None]
    ) -> None:
        """Writes `folder`/NAME.steps-FIRST-LAST.json.gz and .txt."""
        self._folder, self._name, self._say = folder, name, say
        self._first, self._last = first, last
        self._running: torch.profiler.profile | None = None
        self._began = self._seen = 0

    def before(self, step: int) -> None:
        """Step number `step` is about to be made."""
        if self._running is not None and step > self._last:
            self.close()
        if self._running is None and self._first <= step <= self._last:
            self._running = torch.profiler.profile(activities=_activities(), record_shapes=True)
            self._running.start()
            self._began = step
        self._seen = step

    def close(self) -> None:
        """End a recording that runs, and write it."""
        if self._running is None:
            return
        profile, self._running = self._running, None
        profile.stop()
        stem = f"{self._name}.steps-{self._began}-{min(self._seen, self._last)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            trace = self._folder / f"{stem}.json.gz"
            profile.export_chrome_trace(str(trace))
            table = profile.key_averages().table(sort_by=_dearest(), row_limit=ROWS)
            (self._folder / f"{stem}.txt").write_text(f"{table}\n", encoding="utf-8")
        except (OSError, RuntimeError) as error:  # a profile is not worth a run
            self._say(f"profile: {self._folder}: not written: {error}")
            return
        megabytes = trace.stat().st_size / 1e6
        self._say(f"profile: {trace} ({megabytes:.1f} MB), to be opened in ui.perfetto.dev")


def _activities() -> list[ProfilerActivity]:
    gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    return [ProfilerActivity.CPU, *gpu]


def _dearest() -> str:
    return "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
