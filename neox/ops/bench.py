"""Times each kernel beside plain torch, torch.compile and a copy of the same bytes, on this GPU.

Everything is replayed from a CUDA graph, so that no launch gap is measured; bf16 unless said. The
share is that of the card's copy bandwidth: 1 means that the kernel moves its bytes, each input read
and each output written once, as fast as a copy does. Small pieces far apart count as long as torch
takes to invert the bits of the same pieces, because memory is slower there. A matrix product that
takes a pass with it counts as long as torch takes for it alone, and the pass by itself: 1 means as
fast as the two apart could be at best.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from neox.ops.bench_cases import Run, cases

FORWARD_SHARE, BACKWARD_SHARE = 0.9, 0.8
REPEATS, ROUNDS = 10, 5
WARM_UP = 0.05  # seconds: while the next kernel was compiled, the card has lowered its clocks
PLACES, APART = 3, 37 << 20  # where results are put, and bytes between these
COPY_BYTES = 1 << 30
NOISE = 1.01  # the same twice, in turn, differs by a quarter of that


def bench(say: Callable[[str], None], device: torch.device) -> bool:
    """True if every kernel reaches its share and is not slower than torch.compile."""
    speed = copy_bandwidth(device)
    say(f"copy {speed / 1e12:.2f} TB/s; milliseconds:")
    say(f"{'':34}   kernel    share  compiled     torch")
    good = True
    for case in cases(device):
        torch._dynamo.reset()
        kernel, compiled = in_turn(case.kernel, torch.compile(case.plain, dynamic=False))
        plain = milliseconds(case.plain)
        limit = case.moved / speed * 1e3
        limit += 0 if case.pieces is None else milliseconds(case.pieces)
        share = limit / kernel
        enough = share >= (BACKWARD_SHARE if case.backward else FORWARD_SHARE)
        note = "" if enough else "  below its share"
        note += "" if kernel <= NOISE * compiled else "  SLOWER than torch.compile"
        good = good and not note
        say(f"{case.name:34} {kernel:8.4f} {share:8.2f} {compiled:9.4f} {plain:9.4f}{note}")
    return good


def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second, read and written ones together: the best of two ways to copy."""
    source = torch.randn(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    ways = (partial(target.copy_, source), partial(torch.mul, source, 1.0, out=target))
    return 2 * COPY_BYTES / min(in_turn(*ways)) * 1e3


def milliseconds(run: Run) -> float:
    (one,) = in_turn(run)
    return one


def in_turn(*runs: Run) -> list[float]:
    """Milliseconds of each: the median over replays, with results at several places.

    One after the other, again and again, so that the card is as warm for each. The same bytes take
    up to a tenth longer where inputs and results lie unluckily to each other: results of all of
    them lie at the same place, which no one reads again.
    """
    times: list[list[float]] = [[] for _ in runs]
    for place in range(PLACES):
        gap = torch.empty(place * APART, dtype=torch.uint8, device="cuda")
        graphs: list[torch.cuda.CUDAGraph] = []
        for run in runs:
            graphs.append(_captured(run, graphs[0] if graphs else None))
        warm = time.monotonic() + WARM_UP
        while time.monotonic() < warm:
            for graph in graphs:
                _replay(graph)
        for _ in range(ROUNDS):
            for graph, of_one in zip(graphs, times, strict=True):
                of_one.append(_replay(graph))
        del gap, graphs
    return [median(of_one) for of_one in times]


def _captured(run: Run, beside: torch.cuda.CUDAGraph | None) -> torch.cuda.CUDAGraph:
    """`beside`: whose memory it works in."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=None if beside is None else beside.pool()):
        for _ in range(REPEATS):
            run()
    graph.replay()
    torch.cuda.synchronize()
    return graph


def _replay(graph: torch.cuda.CUDAGraph) -> float:
    start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / REPEATS
