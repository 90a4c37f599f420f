"""Some steps under a profiler: which ones, and torch's own profiler. No profile ends a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity

ROWS = 30  # operators in the table


class Recorder(Protocol):
    """Something that can be on for some steps."""

    def start(self) -> None: ...

    def step(self, number: int) -> None:
        """A recorded step begins."""

    def stop(self, stem: Path) -> str:
        """End it; files of its own begin with `stem`. Returns a line for the log.

        Raises OSError and RuntimeError.
        """


class StepProfiler:
    """Records the steps `first` to `last` (counted from 1, both included) of this process.

    A recording holds what lies between these steps too, such as the logs; it ends when the step
    after `last` begins, or with the run. Where a run starts behind `first`, the steps that are left
    are recorded; behind `last`, none.
    """

    def __init__(
        self,
        recorder: Recorder,
        folder: Path,
        name: str,
        *,
        first: int,
        last: int,
        say: Callable[[str], None],
    ) -> None:
        """Writes `folder`/NAME.steps-FIRST-LAST..."""
        self._recorder = recorder
        self._folder, self._name, self._say = folder, name, say
        self._first, self._last = first, last
        self._began: int | None = None  # the first step of a recording that runs
        self._seen = 0

    def before(self, step: int) -> None:
        """Step number `step` is about to be made."""
        if self._began is not None and step > self._last:
            self.close()
        if self._first <= step <= self._last and self._began is None:
            self._start(step)
        if self._began is not None:
            self._recorder.step(step)
        self._seen = step

    def _start(self, step: int) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._say(f"profile: {self._folder}: not written: {error}")
            self._last = 0  # nothing is recorded that could not be kept
            return
        self._recorder.start()
        self._began = step

    def close(self) -> None:
        """End a recording that runs, and write it."""
        if self._began is None:
            return
        stem = f"{self._name}.steps-{self._began}-{min(self._seen, self._last)}"
        self._began = None
        try:
            said = self._recorder.stop(self._folder / stem)
        except (OSError, RuntimeError) as error:
            said = f"{self._folder}: not written: {error}"
        self._say(f"profile: {said}")


class TorchTrace:
    """torch's profiler: a trace for a viewer, and the dearest operators as a table."""

    def start(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # what was begun before belongs to no recorded step
        self._profile = torch.profiler.profile(activities=_activities(), record_shapes=True)
        self._profile.start()

    def step(self, number: int) -> None:
        pass

    def stop(self, stem: Path) -> str:
        """Writes STEM.json.gz and STEM.txt."""
        profile = self._profile
        del self._profile  # one that lives until Python ends can crash it then
        profile.stop()
        trace = stem.with_name(f"{stem.name}.json.gz")
        profile.export_chrome_trace(str(trace))
        table = profile.key_averages().table(sort_by=_dearest(), row_limit=ROWS)
        stem.with_name(f"{stem.name}.txt").write_text(f"{table}\n", encoding="utf-8")
        return f"{trace} ({megabytes(trace)}), to be opened in ui.perfetto.dev"


def megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _activities() -> list[ProfilerActivity]:
    gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    return [ProfilerActivity.CPU, *gpu]


def _dearest() -> str:
    return "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
