"""Recorders of GPUs. Without one: which calls are made, in order; with one: what they write."""

import contextlib
import ctypes
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from neox.monitor import gpu_profile
from neox.monitor.gpu_profile import CaptureRange, MemoryHistory, Nothing, RocprofRange, recorder
from neox.monitor.profile import Recorder, StepProfiler

without_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def run(made: Recorder, folder: Path, *, steps: int = 5, last: int = 3) -> list[str]:
    """Steps from 1 on, recorded from the second on."""
    said: list[str] = []
    profiler = StepProfiler(made, folder, "7.rank-0", first=2, last=last, say=said.append)
    for step in range(1, steps + 1):
        profiler.before(step)
    profiler.close()
    return said


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A torch that thinks it has a GPU, and what was asked of it."""
    made: list[str] = []

    def note(name: str) -> object:
        return lambda *given, **named: made.append(
            " ".join([name, *map(str, given), *(f"{k}={v}" for k, v in named.items())])
        )

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", note("synchronize"))
    monkeypatch.setattr(torch.cuda.profiler, "start", note("start"))
    monkeypatch.setattr(torch.cuda.profiler, "stop", note("stop"))
    monkeypatch.setattr(torch.autograd.profiler, "emit_nvtx", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda.nvtx, "range_push", note("push"))
    monkeypatch.setattr(torch.cuda.nvtx, "range_pop", note("pop"))
    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", note("history"))
    return made


def test_nsys_is_told_where_the_steps_begin_and_end(tmp_path: Path, calls: list[str]) -> None:
    (said,) = run(CaptureRange(), tmp_path)
    assert calls == [
        *("synchronize", "start", "push step 2", "pop", "push step 3"),
        *("synchronize", "pop", "stop"),
    ]
    assert "steps 2-3" in said and "when the run ends" in said


def test_a_run_that_stops_early_closes_the_range(tmp_path: Path, calls: list[str]) -> None:
    run(CaptureRange(), tmp_path, steps=2)
    assert calls[-3:] == ["synchronize", "pop", "stop"]


def test_the_memory_history_is_written_and_turned_off(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dump(file: str) -> None:
        calls.append("dump")
        Path(file).write_bytes(b"x" * 2_000_000)

    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", dump)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3.5e9)
    (said,) = run(MemoryHistory(), tmp_path)
    assert calls == ["history max_entries=1000000", "dump", "history enabled=None"]
    assert f"{tmp_path}/7.rank-0.steps-2-3.memory.pickle (2.0 MB, peak 3.50 GB)" in said


def test_a_full_disk_does_not_leave_the_history_on(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dump(file: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", dump)
    (said,) = run(MemoryHistory(), tmp_path)
    assert "not written" in said and calls[-1] == "history enabled=None"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rocprofv3", ["pause (0,)", "resume (0,)", "pause (0,)"]),
        ("rocprof", ["pause ()", "resume ()", "pause ()"]),
    ],
)
def test_rocprof_is_paused_outside_the_steps(
    tmp_path: Path,
    calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    expected: list[str],
) -> None:
    told: list[str] = []

    def loaded(library: str) -> SimpleNamespace:
        assert library == gpu_profile._ROCPROF[name][0]
        pause, resume = gpu_profile._ROCPROF[name][1:]
        return SimpleNamespace(**{pause: say("pause"), resume: say("resume")})

    def say(what: str) -> object:
        return lambda *given: told.append(f"{what} {tuple(each.value for each in given)}")

    monkeypatch.setattr(ctypes, "CDLL", loaded)
    run(RocprofRange(name), tmp_path)
    assert told == expected


def test_what_a_machine_cannot_have_is_said_and_ends_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    made = recorder("rocprofv3", said.append)
    assert isinstance(made, Nothing)
    assert "rocprofv3 cannot be told which steps: librocprofiler-sdk-roctx.so" in said[0]
    assert "were not set apart" in run(made, tmp_path)[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without a GPU")
def test_without_a_gpu(tmp_path: Path) -> None:
    said: list[str] = []
    recorder("memory", said.append)
    assert "no GPU" in said[0]
    run(recorder("nsys", said.append), tmp_path)
    assert len(said) == 1


@pytest.mark.gpu
@without_gpu
def test_a_snapshot_names_the_allocations_of_its_steps(tmp_path: Path) -> None:
    said: list[str] = []
    profiler = StepProfiler(MemoryHistory(), tmp_path, "7.rank-0", first=2, last=3, say=said.append)
    kept = []
    for step in range(1, 6):
        profiler.before(step)
        kept.append(torch.zeros(step * (1 << 20), dtype=torch.uint8, device="cuda"))
    profiler.close()
    file = tmp_path / "7.rank-0.steps-2-3.memory.pickle"
    (trace,) = (t for t in pickle.loads(file.read_bytes())["device_traces"] if t)
    sizes = [event["size"] for event in trace if event["action"] == "alloc"]
    assert sizes == [2 << 20, 3 << 20]


@pytest.mark.gpu
@without_gpu
def test_the_range_of_nsys_on_a_gpu(tmp_path: Path) -> None:
    (said,) = run(CaptureRange(), tmp_path)
    assert "steps 2-3" in said
