"""Finds the algorithm that multiplies fastest while the card is at the limit of its power.

Every algorithm that can do a product runs a few times; the fastest of those then run for windows
long enough that the card's clock settles, in turn with torch's own choice. In a short burst the
card runs at full clocks, and the order of the best is another.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

import torch

from neox.kernels.gemm_table import Gemm, Kind, Tuned
from neox.ops.cublaslt import Algorithm, CublasLt, LtError, Problem, Variant
from neox.ops.gemm import DTYPES, gemm_reference_

NAMED = 16  # algorithms that the heuristic is asked for
SHORT_LIST = 160  # of some 1,300 variants: where the best for another shape of the kind are found
FINALISTS, WINNERS = 10, 3
SETTLE, WINDOW, LONG_WINDOW = 0.1, 0.15, 0.5  # seconds
GAIN = 0.01  # less is noise, and torch's choice stays
ROUNDING = 0.01  # of the result's norm: what bf16 sums may differ in; a wrong product is off by 1
HEAT = 3.0  # seconds


class Tuner:
    """Tunes one product after the other; the first of a kind tries all that there is."""

    def __init__(self, lt: CublasLt, device: torch.device) -> None:
        self._lt, self._device = lt, device
        self._short: dict[Kind, list[Variant]] = {}
        self._hot = False

    def tune(self, gemm: Gemm) -> tuple[Tuned, int]:
        """What was found, and how many algorithms were tried. Raises LtError where none can."""
        contest = _Contest(self._lt, gemm, self._device)
        if not self._hot:
            _seconds(contest.torch, HEAT)
            self._hot = True
        timed = contest.bursts(self._short.get(gemm.kind))
        ranked = sorted(timed, key=timed.__getitem__)
        variants = [self._lt.variant(one) for one in ranked[:SHORT_LIST]]
        self._short.setdefault(gemm.kind, list(dict.fromkeys(variants)))
        return contest.best(ranked[:FINALISTS]), len(timed)


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
        self.torch = partial(
            gemm_reference_, self._out, self._first, self._second, self._bias, gemm.kind
        )

    def run(self, algorithm: Algorithm) -> None:
        self._problem.run(algorithm, self._first, self._second, self._out, self._bias)

    def bursts(self, variants: Iterable[Variant] | None) -> dict[Algorithm, float]:
        """Seconds of each algorithm at its best; None for `variants` means all."""
        named = self._problem.named(NAMED)
        timed: dict[Algorithm, float] = {}
        for one in chain(named, self._others(named, variants)):
            if one in timed:
                continue
            try:
                timed[one] = _burst(partial(self.run, one))
            except LtError:  # what the check let through and the launch did not
                continue
        return timed

    def _others(
        self, named: list[Algorithm], variants: Iterable[Variant] | None
    ) -> Iterable[Algorithm]:
        families = {self._lt.variant(one).family: one for one in named}
        if variants is None:
            variants = chain.from_iterable(map(self._lt.variants, families.values()))
        for variant in variants:
            if variant.family in families:
                found = self._problem.as_variant(families[variant.family], variant)
                if found is not None:
                    yield found

    def best(self, finalists: list[Algorithm]) -> Tuned:
        settled = {one: _settled(partial(self.run, one), WINDOW) for one in finalists}
        winners = sorted(settled, key=settled.__getitem__)[:WINNERS]
        long = {one: _settled(partial(self.run, one), LONG_WINDOW) for one in winners}
        of_torch = _settled(self.torch, LONG_WINDOW)
        ranked = sorted(long, key=long.__getitem__)
        faster = (one for one in ranked if long[one] < of_torch * (1 - GAIN) and self._right(one))
        first = next(faster, None)
        return Tuned(
            algorithm=None if first is None else first.data,
            seconds=long[ranked[0] if first is None else first],
            seconds_of_torch=of_torch,
        )

    def _right(self, algorithm: Algorithm) -> bool:
        """Does it compute what torch computes?"""
        self.torch()
        expected = self._out.float()
        self._out.fill_(float("nan"))
        self.run(algorithm)
        apart = (self._out.float() - expected).norm() / expected.norm()
        return bool(apart < ROUNDING)


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
