"""Finds the algorithm that multiplies fastest while the card is at the limit of its power.

Every algorithm that can do a product runs once. The fastest of those then run in turn, each for a
window in which the card's clock settles, and the best of them in turn with torch's own choice. In a
short burst the card runs at full clocks, and the order of the best is another.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import attrgetter, itemgetter
from statistics import median

import torch

from neox.kernels.gemm import Gemm, Tuned
from neox.ops.cublaslt import Algorithm, CublasLt, LtError, Problem, Variant
from neox.ops.gemm import DTYPES, gemm_reference_

NAMED = 16  # algorithms that the heuristic is asked for
NEAR = 1.3  # a tile that is once so much slower than the best is not tried in other variants
ENTRANTS = 48  # the fastest in a burst, beside those that the heuristic names
STAGES = ((0.06, 12), (0.1, 3))  # seconds of a window, and how many go on
SETTLE, LAST_WINDOW, ROUNDS = 0.03, 0.3, 3
GAIN = 0.005  # less is noise, and torch's choice stays
ROUNDING = 0.01  # of the result's norm: what bf16 sums may differ in; a wrong product is off by 1


def tune(lt: CublasLt, gemm: Gemm, device: torch.device) -> tuple[Tuned, int]:
    """What was found, and how many algorithms were tried."""
    contest = _Contest(lt, gemm, device)
    timed = contest.bursts()
    fastest = sorted(timed, key=timed.__getitem__)[:ENTRANTS]
    entrants = [one for one in timed if one in contest.named or one in fastest]
    return contest.best(entrants), len(timed)


class _Contest:
    """The operands of one product, and every way to multiply them."""

    def __init__(self, lt: CublasLt, gemm: Gemm, device: torch.device) -> None:
        self._lt, self._problem = lt, Problem(lt, gemm)
        dtype = next(one for one, name in DTYPES.items() if name == gemm.dtype)
        # numbers as a model's are: zeros would cost less power, and other algorithms would win
        make = partial(torch.randn, device=device, dtype=dtype)
        first, second, out = gemm.shapes
        self._first, self._second = make(first), make(second) * gemm.k**-0.5
        self._bias = make(gemm.n) if gemm.biased else None
        self._out = torch.empty(out, device=device, dtype=dtype)
        self.named: list[Algorithm] = []
        with suppress(LtError):  # none for such a shape: torch has other libraries
            self.named = self._problem.named(NAMED)

    def run(self, algorithm: Algorithm) -> None:
        self._problem.run(algorithm, self._first, self._second, self._out, self._bias)

    def run_torch(self) -> None:
        gemm_reference_(self._out, self._first, self._second, self._bias, self._problem.gemm.kind)

    def bursts(self) -> dict[Algorithm, float]:
        """Seconds of what the heuristic names, and of the variants of their families."""
        timed: dict[Algorithm, float] = {}
        for one in self.named:
            self._burst(one, timed)
        for base in self._bases():
            for _, variants in groupby(self._lt.variants(base), key=attrgetter("tile")):
                for one in self._changed(base, variants):
                    if not self._burst(one, timed):
                        break
        return timed

    def _changed(self, base: Algorithm, variants: Iterable[Variant]) -> Iterator[Algorithm]:
        for variant in variants:
            data = self._lt.changed(base, variant)
            found = None if data is None else self._problem.checked(data)
            if found is not None:
                yield found

    def _bases(self) -> Iterable[Algorithm]:
        """Of those named that differ in nothing but their variant the first."""
        variants: dict[int, Variant] = {}  # of each family the first
        bases: dict[bytes | None, Algorithm] = {}
        for one in self.named:
            own = self._lt.variant(one)
            as_first = self._lt.changed(one, variants.setdefault(own.family, own))
            bases.setdefault(as_first, one)
        return bases.values()

    def _burst(self, algorithm: Algorithm, timed: dict[Algorithm, float]) -> bool:
        """Is it near the best? Some pass the library's check and do not run."""
        if algorithm in timed:
            return True
        try:
            timed[algorithm] = seconds = _burst(partial(self.run, algorithm))
        except LtError:
            return True
        return seconds < NEAR * min(timed.values())

    def best(self, entrants: Sequence[Algorithm]) -> Tuned:
        for window, most in STAGES:
            seconds = _in_turn([partial(self.run, one) for one in entrants], window)
            entrants = [one for _, one in _ranked(seconds, entrants)][:most]
        ways = [partial(self.run, one) for one in entrants]
        of_torch, *long = _in_turn([self.run_torch, *ways], LAST_WINDOW)
        ranked = _ranked(long, entrants)
        right = (one for one in ranked if one[0] < of_torch * (1 - GAIN) and self._right(one[1]))
        best, algorithm = next(right, (min(long, default=of_torch), None))
        return Tuned(
            algorithm=None if algorithm is None else algorithm.data,
            seconds=best,
            seconds_of_torch=of_torch,
        )

    def _right(self, algorithm: Algorithm) -> bool:
        """Does it compute what torch computes, and the same bits each time?"""
        self.run_torch()
        expected = self._out.float()
        results = []
        for _ in range(2):
            self._out.fill_(float("nan"))
            self.run(algorithm)
            results.append(self._out.clone())
        apart = (results[0].float() - expected).norm() / expected.norm()
        return bool(apart < ROUNDING) and torch.equal(*results)


def _ranked(
    seconds: Sequence[float], algorithms: Sequence[Algorithm]
) -> list[tuple[float, Algorithm]]:
    return sorted(zip(seconds, algorithms, strict=True), key=itemgetter(0))


def _burst(once: Callable[[], None]) -> float:
    """Seconds; the run before it loads the code."""
    once()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    once()
    end.record()
    end.synchronize()
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 1e3


def _in_turn(ways: Sequence[Callable[[], None]], window: float) -> list[float]:
    """Seconds of each at the clock that it settles to, the median of rounds: cards drift."""
    rounds = []
    for _ in range(ROUNDS):
        seconds = []
        for way in ways:
            _seconds(way, SETTLE)
            seconds.append(_seconds(way, window))
        rounds.append(seconds)
    return [median(times) for times in zip(*rounds, strict=True)]


def _seconds(once: Callable[[], None], window: float) -> float:
    """Seconds of one, of as many as fill the window."""
    each = _burst(once)
    count = max(3, round(window / each))
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        once()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / count
