"""The profiler: the steps that were asked for, in a file that a viewer reads, and no harm else."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from neox.monitor.profile import StepProfiler, TorchTrace


def record(folder: Path, steps: range, *, first: int = 2, last: int = 3) -> list[str]:
    """Make `steps`; step n multiplies matrices of n x 10 rows. Returns what was said."""
    said: list[str] = []
    profiler = StepProfiler(
        TorchTrace(), folder, "7.rank-0", first=first, last=last, say=said.append
    )
    for step in steps:
        profiler.before(step)
        torch.ones(step * 10, 4) @ torch.ones(4, 4)
    profiler.close()
    profiler.close()  # nothing is written twice
    return said


def rows(trace: Path) -> list[int]:
    """Of the products in a trace, how many rows the left matrix had."""
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    products = [event for event in events if event.get("name") == "aten::mm"]
    return [event["args"]["Input Dims"][0][0] for event in products]


def test_the_steps_that_were_asked_for_and_no_other(tmp_path: Path) -> None:
    (said,) = record(tmp_path, range(1, 6))
    trace = tmp_path / "7.rank-0.steps-2-3.json.gz"
    assert rows(trace) == [20, 30]
    assert str(trace) in said and "ui.perfetto.dev" in said
    assert "aten::mm" in trace.with_name("7.rank-0.steps-2-3.txt").read_text()


@pytest.mark.parametrize(
    ("steps", "written", "expected"),
    [
        (range(1, 3), "7.rank-0.steps-2-2", [20]),  # the run stopped early
        (range(3, 6), "7.rank-0.steps-3-3", [30]),  # a link began in the middle
    ],
)
def test_the_part_that_a_link_makes(
    tmp_path: Path, steps: range, written: str, expected: list[int]
) -> None:
    record(tmp_path, steps)
    assert rows(tmp_path / f"{written}.json.gz") == expected


def test_a_link_behind_the_steps_writes_nothing(tmp_path: Path) -> None:
    assert record(tmp_path / "profiles", range(4, 9)) == []
    assert not (tmp_path / "profiles").exists()


def test_a_place_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("in the way")
    (said,) = record(tmp_path / "profiles", range(1, 6))
    assert "not written" in said
