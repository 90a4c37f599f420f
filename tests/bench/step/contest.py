"""Several ways to take a step, run in turn for whole windows, so that the card stays as hot."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from tests.bench.step.power import Gauge

Steps = Callable[[int], None]  # take so many steps; they may still run when it returns


@dataclass(kw_only=True)
class Contender:
    name: str
    steps: Steps
    seconds: float  # of one window
    peak: float  # bytes that it took beside what was there before it
    windows: list["Window"] = field(default_factory=list)

    @property
    def seconds_per_step(self) -> float:
        """The mean over all windows."""
        return sum(w.seconds for w in self.windows) / sum(w.steps for w in self.windows)

    @property
    def watts(self) -> float:
        return sum(w.watts for w in self.windows) / len(self.windows)

    @property
    def megahertz(self) -> float:
        return sum(w.megahertz for w in self.windows) / len(self.windows)


@dataclass(frozen=True, kw_only=True)
class Window:
    steps: int
    seconds: float
    watts: float
    megahertz: float


def enter(name: str, make: Callable[[], Steps], *, seconds: float) -> tuple[Contender, float]:
    """The contender after two steps, and how long the first of them took to come."""
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    steps = make()
    steps(1)
    torch.cuda.synchronize()
    first = time.perf_counter() - began
    steps(1)
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    return Contender(name=name, steps=steps, seconds=seconds, peak=peak), first


def heat(contender: Contender, seconds: float) -> None:
    _run(contender, seconds)


def compete(contenders: list[Contender], rounds: int, say: Callable[[str], None]) -> None:
    for number in range(1, rounds + 1):
        for contender in contenders:
            window = _run(contender, contender.seconds)
            contender.windows.append(window)
            each = window.seconds / window.steps * 1e3
            say(f"  round {number}: {contender.name}: {window.steps} steps of {each:.1f} ms")


def _run(contender: Contender, seconds: float) -> Window:
    one = _timed(contender, 2) / 2
    count = max(2, round(seconds / one))
    with Gauge() as gauge:
        took = _timed(contender, count)
    return Window(steps=count, seconds=took, watts=gauge.watts, megahertz=gauge.megahertz)


def _timed(contender: Contender, count: int) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    contender.steps(count)
    torch.cuda.synchronize()
    return time.perf_counter() - began
