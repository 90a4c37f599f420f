"""Finds the algorithm that multiplies fastest while the card is at the limit of its power.

Every algorithm that can do a product runs a few times; the fastest of those then run for windows
long enough that the card's clock settles, and the best of them in turn with torch's own choice. In
a short burst the card runs at full clocks, and the order of the best is another.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import fmean

import torch

from neox.kernels.gemm import Gemm, Tuned
from neox.ops.cublaslt import Algorithm, CublasLt, LtError, Problem, Variant
from neox.ops.gemm import DTYPES, gemm_reference_

NAMED = 16  # algorithms that the heuristic is asked for
FINALISTS, WINNERS, ROUNDS = 16, 3, 2
SETTLE, WINDOW, LONG_WINDOW = 0.1, 0.15, 0.5  # seconds
GAIN = 0.005  # less is noise, and torch's choice stays
ROUNDING = 0.01  # of the result's norm: what bf16 sums may differ in; a wrong product is off by 1


def tune(lt: CublasLt, gemm: Gemm, device: torch.device) -> tuple[Tuned, int]:
    """What was found, and how many algorithms were tried."""
    contest = _Contest(lt, gemm, device)
    timed = {one: seconds for one in contest.algorithms() if (seconds := contest.burst(one))}
    return contest.best(sorted(timed, key=timed.__getitem__)[:FINALISTS]), len(timed)


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

    def run(self, algorithm: Algorithm) -> None:
        self._problem.run(algorithm, self._first, self._second, self._out, self._bias)

    def run_torch(self) -> None:
        gemm_reference_(self._out, self._first, self._second, self._bias, self._problem.gemm.kind)

    def algorithms(self) -> Iterator[Algorithm]:
        """What the heuristic names, and every other variant of their families."""
        try:
            named = self._problem.named(NAMED)
        except LtError:  # none: torch has other libraries for such a shape
            return
        yield from named
        for base in self._bases(named):
            for variant in self._lt.variants(base):
                data = self._lt.changed(base, variant)
                found = None if data is None else self._problem.checked(data)
                if found is not None and found not in named:
                    yield found

    def _bases(self, named: list[Algorithm]) -> Iterable[Algorithm]:
        """Of those that differ in nothing but their variant the first."""
        variants: dict[int, Variant] = {}  # of each family the first
        bases: dict[bytes | None, Algorithm] = {}
        for one in named:
            own = self._lt.variant(one)
            as_first = self._lt.changed(one, variants.setdefault(own.family, own))
            bases.setdefault(as_first, one)
        return bases.values()

    def burst(self, algorithm: Algorithm) -> float | None:
        """Seconds; None for one that passed the library's check and does not run."""
        try:
            return _burst(partial(self.run, algorithm))
        except LtError:
            return None

    def best(self, finalists: list[Algorithm]) -> Tuned:
        settled = {one: _settled(partial(self.run, one), WINDOW) for one in finalists}
        winners = sorted(settled, key=settled.__getitem__)[:WINNERS]
        ways: list[Callable[[], None]] = [self.run_torch]
        ways += [partial(self.run, one) for one in winners]
        rounds = [[_settled(way, LONG_WINDOW) for way in ways] for _ in range(ROUNDS)]
        of_torch, *long = map(fmean, zip(*rounds, strict=True))
        ranked = sorted(zip(long, winners, strict=True))
        right = (one for one in ranked if one[0] < of_torch * (1 - GAIN) and self._right(one[1]))
        seconds, algorithm = next(right, (min(long, default=of_torch), None))
        return Tuned(
            algorithm=None if algorithm is None else algorithm.data,
            seconds=seconds,
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


def _burst(once: Callable[[], None]) -> float:
    """Seconds of one of three; the first of them loads the code."""
    once()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    once()
    once()
    end.record()
    end.synchronize()
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 2e3


def _settled(once: Callable[[], None], window: float) -> float:
    _seconds(once, SETTLE)
    return _seconds(once, window)


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
