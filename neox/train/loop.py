"""The training loop: fetch, step, guard, save, evaluate."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from neox.data.batch import Batch
from neox.monitor.record import Monitor
from neox.train.host_copy import HostCopy
from neox.train.ledger import Ledger, Pending
from neox.train.schedules import Schedule, learning_rate
from neox.train.step import Engine


class Run(Protocol):
    """What the loop needs of the run around it."""

    engine: Engine
    batches: Iterator[list[Batch]]
    schedule: Schedule
    total_steps: int
    tokens_per_step: int
    monitors: list[Monitor]
    bad_steps_allowed: int

    def stop_asked(self) -> bool: ...

    def prepare_step(self, step: int) -> None:
        """Seed what is random in step number `step`."""

    def after_step(self, step: int) -> None: ...

    def saves_at(self, step: int) -> bool: ...

    def evaluates_at(self, step: int) -> bool: ...

    def exits_at(self, step: int) -> bool: ...

    def save(self, step: int) -> None: ...

    def evaluate(self, step: int) -> bool:
        """True when somebody asked to stop meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    step: int
    finished: bool  # False: stopped early, and saved


def train(run: Run, first_step: int) -> Ended:
    """Train from `first_step` finished steps until the end or until some rank is asked to stop.

    All ranks leave after the same step, because the stop bit travels with the step's numbers.
    """
    ledger = Ledger(run.monitors, patience=run.bad_steps_allowed)
    step, saved, stopped = first_step, first_step, False
    if step == 0 and run.saves_at(0):
        run.save(0)
    while step < run.total_steps and not stopped:
        began = time.perf_counter()
        batches = next(run.batches)
        data_seconds = time.perf_counter() - began
        rate = learning_rate(run.schedule, step)
        run.prepare_step(step)
        scale = run.engine.loss_scale
        result = run.engine.step(batches, lr=rate, stop=run.stop_asked())
        step += 1
        ledger.add(
            Pending(
                step=step,
                numbers=HostCopy(result.together()),
                lr=rate,
                loss_scale=scale,
                tokens=run.tokens_per_step,
                began=began,
                data_seconds=data_seconds,
            )
        )
        stopped = ledger.settle(keep=1)
        run.after_step(step)

        saves, evaluates, exits = run.saves_at(step), run.evaluates_at(step), run.exits_at(step)
        if saves or evaluates or exits:
            stopped |= ledger.settle(keep=0)
        if saves:  # before the evaluation, which could fail
            run.save(step)
            saved = step
        if evaluates and not stopped:
            stopped |= run.evaluate(step)
        stopped |= exits
    ledger.settle(keep=0)
    if saved != step:
        run.save(step)
    return Ended(step=step, finished=step >= run.total_steps)
