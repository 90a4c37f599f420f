"""Which of many algorithms wins, with times that are given instead of taken."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from neox.kernels.gemm import Gemm, Tuned
from neox.ops import gemm_tuning
from neox.ops.cublaslt import Algorithm, LtError, Variant
from neox.ops.gemm import gemm_reference_

GEMM = Gemm(kind="wgrad", m=64, n=24, k=8, dtype="bfloat16")
TORCH = b"torch"
Seconds = dict[bytes, float]


class Bench:
    """A library whose algorithms are names, each with the times it is to take."""

    def __init__(self, bursts: Seconds, settled: Seconds) -> None:
        self.bursts, self.settled = bursts, settled
        self.wrong: set[bytes] = set()
        self.unsteady: set[bytes] = set()
        self.runs = 0
        self.named_first = [Algorithm(b"named 1", 0), Algorithm(b"named 2", 0)]
        self.last = b""
        self.each = 1  # variants of a tile
        self.tried: list[bytes] = []
        self.finalists: list[bytes] = []

    def variant(self, algorithm: Algorithm) -> Variant:
        return Variant(66, int(algorithm.data[-1:]), 0)

    def changed(self, algorithm: Algorithm, variant: Variant) -> bytes | None:
        """All that are named differ in their tile alone."""
        if variant.tile % 10 == 9:
            return None
        if variant.custom:
            return b"tile %d.%d" % (variant.tile, variant.custom)
        return b"named %d" % variant.tile if variant.tile in (1, 2) else b"tile %d" % variant.tile

    def variants(self, algorithm: Algorithm) -> Iterator[Variant]:
        assert algorithm == self.named_first[0]
        return (Variant(66, tile, custom) for tile in range(50) for custom in range(self.each))

    def problem(self, library: "Bench", gemm: Gemm) -> "Problem":
        assert library is self
        return Problem(self, gemm)

    def burst(self, once: Callable[[], None]) -> float:
        once()
        self.tried.append(self.last)
        return self.bursts.get(self.last, 1.0)

    def settle(self, once: Callable[[], None], window: float) -> float:
        once()
        if window > gemm_tuning.SETTLE:
            self.finalists.append(self.last)
        return self.settled.get(self.last, 1.0)

    def torchs(self, *given: object) -> None:
        self.last = TORCH
        gemm_reference_(*given)  # type: ignore[arg-type]


class Problem:
    def __init__(self, bench: Bench, gemm: Gemm) -> None:
        self.bench, self.gemm = bench, gemm

    def named(self, most: int) -> list[Algorithm]:
        if not self.bench.named_first:
            raise LtError("not supported")
        return self.bench.named_first

    def checked(self, data: bytes) -> Algorithm | None:
        return None if data == b"tile 8" else Algorithm(data, 0)

    def run(
        self, algorithm: Algorithm, first: Tensor, second: Tensor, out: Tensor, bias: None
    ) -> None:
        self.bench.last = algorithm.data
        if algorithm.data == b"tile 7":
            raise LtError("status 15")
        if algorithm.data in self.bench.wrong:
            return
        gemm_reference_(out, first, second, bias, self.gemm.kind)
        if algorithm.data in self.bench.unsteady:
            self.bench.runs += 1
            out[0, 0] *= 1 + self.bench.runs % 2 / 64  # a few steps of bf16, every other time


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bench], tuple[Tuned, int]]:
    def run(bench: Bench) -> tuple[Tuned, int]:
        monkeypatch.setattr(gemm_tuning, "Problem", bench.problem)
        monkeypatch.setattr(gemm_tuning, "_burst", bench.burst)
        monkeypatch.setattr(gemm_tuning, "_seconds", bench.settle)
        monkeypatch.setattr(gemm_tuning, "gemm_reference_", bench.torchs)
        return gemm_tuning.tune(bench, GEMM, torch.device("cpu"))  # type: ignore[arg-type]

    return run


Tune = Callable[[Bench], tuple[Tuned, int]]
BURSTS = {b"tile %d" % tile: 0.5 + tile / 100 for tile in range(50)}


def test_the_fastest_when_settled_wins_not_the_fastest_in_a_burst(tune: Tune) -> None:
    bench = Bench(BURSTS, {TORCH: 0.9, b"tile 0": 0.85, b"tile 12": 0.8})
    tuned, tried = tune(bench)
    assert tuned == Tuned(algorithm=b"tile 12", seconds=0.8, seconds_of_torch=0.9)
    # two by name; 50 variants without those two, five that the family and one that the product
    # does not have, and one that does not run
    assert tried == 2 + 50 - 2 - 5 - 1 - 1
    # those named and 48 by their bursts; the best of them, and the best of these beside torch's
    named = [b"named 1", b"named 2"]
    tiles = [b"tile %d" % n for n in range(50) if n not in (1, 2, 7, 8) and n % 10 != 9]
    assert bench.finalists[: 3 * 43] == (named + tiles) * 3
    first = [b"tile 12", b"tile 0"]
    go_on = [*first, *named, *(one for one in tiles if one not in first)][:12]
    assert bench.finalists[3 * 43 : 3 * 55] == go_on * 3
    assert bench.finalists[3 * 55 :] == [TORCH, b"tile 12", b"tile 0", b"named 1"] * 3


def test_a_slow_tile_is_not_tried_in_all_its_variants(tune: Tune) -> None:
    bench = Bench(BURSTS | {b"tile 20.2": 0.66, b"tile 20.1": 0.6}, {TORCH: 0.9})
    bench.each = 4
    tune(bench)
    assert b"tile 20.1" not in bench.tried  # tile 20 took 0.7 seconds, the best by then 0.5
    assert [one for one in bench.tried if one.startswith(b"tile 3")][:2] == [b"tile 3", b"tile 3.1"]
    bench.bursts[b"tile 20"] = 0.64
    bench.tried.clear()
    tune(bench)
    assert b"tile 20.1" in bench.tried and b"tile 20.2" in bench.tried
    assert b"tile 20.3" not in bench.tried


def test_what_is_slow_in_a_burst_may_enter_by_name(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm_tuning, "ENTRANTS", 10)
    bench = Bench(BURSTS, {TORCH: 0.9, b"named 2": 0.7})
    assert tune(bench)[0].algorithm == b"named 2"
    assert b"named 2" in bench.finalists and b"tile 20" not in bench.finalists


def test_what_gains_next_to_nothing_is_left_to_torch(tune: Tune) -> None:
    bench = Bench(BURSTS, {TORCH: 0.9, b"tile 3": 0.897})
    tuned, _ = tune(bench)
    assert tuned == Tuned(algorithm=None, seconds=0.897, seconds_of_torch=0.9)
    assert tuned.gain == 0.0


def test_what_computes_something_else_or_never_the_same_does_not_win(tune: Tune) -> None:
    bench = Bench(BURSTS, {TORCH: 0.9, b"tile 0": 0.5, b"tile 3": 0.6, b"tile 4": 0.7})
    bench.wrong, bench.unsteady = {b"tile 0"}, {b"tile 3"}
    assert tune(bench)[0].algorithm == b"tile 4"


def test_a_shape_that_the_library_does_not_know(tune: Tune) -> None:
    bench = Bench({}, {TORCH: 0.9})
    bench.named_first = []
    assert tune(bench) == (Tuned(algorithm=None, seconds=0.9, seconds_of_torch=0.9), 0)
