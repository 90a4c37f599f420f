"""The order of things in the loop, with an engine that only counts."""

from collections.abc import Iterator, Sequence

import torch

from neox.data.batch import Batch
from neox.monitor.record import EvaluationRecord, StepRecord
from neox.train.loop import Ended, train
from neox.train.schedules import Schedule
from neox.train.step import StepResult


class CountingEngine:
    loss_scale = 1.0

    def __init__(self, diary: list[str]) -> None:
        self._diary = diary
        self.steps = 0

    def step(self, batches: Sequence[Batch], *, lr: float, stop: bool) -> StepResult:
        self.steps += 1
        self._diary.append(f"step {self.steps}")
        one = torch.ones((), dtype=torch.float64)
        return StepResult(loss=one, grad_norm=one, bad=one * 0, stop=one * stop)


class FakeRun:
    schedule = Schedule(style="constant", peak=1.0, minimum=0.0, warmup=0.0, horizon=10)
    tokens_per_step = 1
    bad_steps_allowed = 3

    def __init__(
        self, total: int, *, stop_at: int | None = None, evaluation_stops: bool = False
    ) -> None:
        self.diary: list[str] = []
        self.engine = CountingEngine(self.diary)
        self.total_steps = total
        self.monitors = [self]
        self.batches: Iterator[list[Batch]] = iter([[]] * 100)
        self._stop_at = stop_at
        self._evaluation_stops = evaluation_stops

    def stop_asked(self) -> bool:
        return self._stop_at is not None and self.engine.steps + 1 >= self._stop_at

    def prepare_step(self, step: int) -> None: ...

    def after_step(self, step: int) -> None: ...

    def saves_at(self, step: int) -> bool:
        return step in (3, self.total_steps)

    def evaluates_at(self, step: int) -> bool:
        return step in (3, self.total_steps)

    def exits_at(self, step: int) -> bool:
        return False

    def save(self, step: int) -> None:
        self.diary.append(f"save {step}")

    def evaluate(self, step: int) -> bool:
        self.diary.append(f"evaluate {step}")
        return self._evaluation_stops

    def on_step(self, record: StepRecord) -> None:
        self.diary.append(f"read {record.step}")

    def on_evaluation(self, record: EvaluationRecord) -> None: ...

    def on_save(self, step: int, path: str) -> None: ...

    def close(self) -> None: ...


def test_numbers_are_read_one_step_late_and_before_a_save() -> None:
    run = FakeRun(5)
    assert train(run, 0) == Ended(step=5, finished=True)  # type: ignore[arg-type]
    assert run.diary == [
        *("step 1", "step 2", "read 1", "step 3", "read 2", "read 3", "save 3", "evaluate 3"),
        *("step 4", "step 5", "read 4", "read 5", "save 5", "evaluate 5"),
    ]


def test_asked_before_the_first_step_it_saves_after_the_second() -> None:
    run = FakeRun(100, stop_at=1)
    assert train(run, 0) == Ended(step=2, finished=False)  # type: ignore[arg-type]
    assert run.diary == ["step 1", "step 2", "read 1", "read 2", "save 2"]


def test_asked_in_an_evaluation_it_stops_there_and_saves_no_second_time() -> None:
    run = FakeRun(100, evaluation_stops=True)
    assert train(run, 0) == Ended(step=3, finished=False)  # type: ignore[arg-type]
    assert run.diary.count("save 3") == 1
    assert run.diary[-1] == "evaluate 3"


def test_a_run_that_is_complete_takes_no_step() -> None:
    run = FakeRun(5)
    assert train(run, 5) == Ended(step=5, finished=True)  # type: ignore[arg-type]
    assert run.diary == []
