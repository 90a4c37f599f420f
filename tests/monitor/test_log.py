"""The numbers of the log line and of events.jsonl."""

import json
from pathlib import Path

from neox.models.count import FlopsPerToken
from neox.monitor.event_log import Events
from neox.monitor.log import StepLog
from neox.monitor.record import StepRecord
from neox.run.events import EventLog


def record(step: int, loss: float = 2.0, *, bad: bool = False) -> StepRecord:
    return StepRecord(
        step=step,
        loss=loss,
        grad_norm=0.5,
        lr=1e-3,
        bad=bad,
        loss_scale=1.0,
        tokens=1000,
        seconds=2.0,
        data_seconds=0.5,
    )


def log(lines: list[str]) -> StepLog:
    flops = FlopsPerToken(full=4e9, causal=3e9)
    return StepLog(total_steps=4, interval=2, ranks=2, flops=flops, say=lines.append)


def test_a_line_averages_over_its_interval_and_names_both_conventions() -> None:
    lines: list[str] = []
    steps = log(lines)
    steps.on_step(record(1, 2.0))
    assert lines == []
    steps.on_step(record(2, 3.0))
    (line,) = lines
    assert "step 2/4" in line
    assert "loss 2.5000" in line
    assert "500 tokens/s (250 per rank)" in line
    assert "1 full, 0.75 causal" in line  # 250 tokens/s x 4 GFLOP
    assert "2 s a step (data 25.0 %)" in line


def test_bad_steps_are_said_at_once_and_left_out_of_the_mean() -> None:
    lines: list[str] = []
    steps = log(lines)
    steps.on_step(record(1, float("nan"), bad=True))
    assert "no weight changed" in lines[0]
    steps.on_step(record(2, 3.0))
    assert "loss 3.0000" in lines[1]


def test_events_hold_exact_numbers(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "state" / "events.jsonl")
    Events(events).on_step(record(7, 1 / 3))
    events.close()
    (line,) = (tmp_path / "state" / "events.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told["event"] == "step"
    assert float.fromhex(told["loss_hex"]) == 1 / 3
