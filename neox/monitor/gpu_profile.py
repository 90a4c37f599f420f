"""Recorders of GPUs: the allocator's history, and the ranges that nsys and rocprof wait for.

The last two write nothing themselves: the program around this process does, where it was told to.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

from neox.monitor.profile import Recorder, TorchTrace, megabytes

HISTORY = 1_000_000  # allocations and frees that a snapshot holds
# what rocprof loads into this process: its own library, pause or stop, resume or start
_ROCPROF = {
    "rocprofv3": ("librocprofiler-sdk-roctx.so", "roctxProfilerPause", "roctxProfilerResume"),
    "rocprof": ("libroctracer64.so", "roctracer_stop", "roctracer_start"),
}


def recorder(name: str, say: Callable[[str], None]) -> Recorder:
    """The recorder called `name`; one that is not to be had here says so, and records nothing."""
    try:
        match name:
            case "torch":
                return TorchTrace()
            case "memory":
                return MemoryHistory()
            case "nsys":
                return CaptureRange()
            case _:
                return RocprofRange(name)
    except (OSError, AttributeError, KeyError, RuntimeError) as error:
        say(f"profile: {name} cannot be told which steps: {error}")
        return Nothing()


class MemoryHistory:
    """Every allocation of the steps with the lines that made it, for torch's memory_viz."""

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError("there is no GPU whose memory could be recorded")

    def start(self) -> None:
        torch.cuda.memory._record_memory_history(max_entries=HISTORY)

    def step(self, number: int) -> None:
        pass

    def stop(self, stem: Path) -> str:
        """Writes STEM.memory.pickle."""
        file = stem.with_name(f"{stem.name}.memory.pickle")
        try:
            torch.cuda.memory._dump_snapshot(str(file))  # type: ignore[no-untyped-call]
        finally:
            torch.cuda.memory._record_memory_history(enabled=None)
        peak = torch.cuda.max_memory_allocated() / 1e9
        return (
            f"{file} ({megabytes(file)}, peak {peak:.2f} GB), to be opened by "
            "python -m torch.cuda._memory_viz trace_plot"
        )


class CaptureRange:
    """cudaProfilerStart and -Stop around the steps; steps, layers and phases are NVTX ranges."""

    def __init__(self) -> None:
        self._open = False
        self._ranges = torch.autograd.profiler.emit_nvtx()  # type: ignore[no-untyped-call]
        self._gpu = torch.cuda.is_available()  # without one nsys records the whole run

    def start(self) -> None:
        if self._gpu:
            torch.cuda.synchronize()  # what was begun before belongs to no recorded step
            torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
            self._ranges.__enter__()  # type: ignore[no-untyped-call]

    def step(self, number: int) -> None:
        self._end_step()
        if self._gpu:
            torch.cuda.nvtx.range_push(f"step {number}")  # type: ignore[no-untyped-call]
            self._open = True

    def stop(self, stem: Path) -> str:
        """Writes nothing: nsys does, when the run ends."""
        if self._gpu:
            torch.cuda.synchronize()
            self._end_step()
            self._ranges.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]
        return f"nsys has {_steps(stem)}, and writes its file when the run ends"

    def _end_step(self) -> None:
        if self._open:
            torch.cuda.nvtx.range_pop()  # type: ignore[no-untyped-call]
            self._open = False


class RocprofRange:
    """rocprof is paused from the start, and runs during the steps."""

    def __init__(self, name: str) -> None:
        """Raises OSError or AttributeError where rocprof's library is not there."""
        library, pause, resume = _ROCPROF[name]
        loaded = ctypes.CDLL(library)
        self._pause: Callable[..., object] = getattr(loaded, pause)
        self._resume: Callable[..., object] = getattr(loaded, resume)
        # of which thread: 0 is every one; roctracer's take no argument
        self._of = (ctypes.c_uint64(0),) if name == "rocprofv3" else ()
        self._pause(*self._of)

    def start(self) -> None:
        torch.cuda.synchronize()
        self._resume(*self._of)

    def step(self, number: int) -> None:
        pass

    def stop(self, stem: Path) -> str:
        """Writes nothing: rocprof does, when the run ends."""
        torch.cuda.synchronize()
        self._pause(*self._of)
        return f"rocprof has {_steps(stem)}, and writes its file when the run ends"


class Nothing:
    """Records nothing: rocprofv2 has no range, and a library may be missing."""

    def start(self) -> None:
        pass

    def step(self, number: int) -> None:
        pass

    def stop(self, stem: Path) -> str:
        return f"{_steps(stem)} were not set apart"


def _steps(stem: Path) -> str:
    """ "steps 10-12" of ".../7.rank-0.steps-10-12"."""
    return stem.name.rpartition(".")[2].replace("steps-", "steps ")
