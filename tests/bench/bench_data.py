"""Speed of the data room, beside plain peers, in one run: `python -m tests.bench.bench_data`.

Prints the sample index, the whole order, samples read from page cache, the loader, encoding.
Rates are per second of one core, by the processor time used, so that a busy machine changes little.
Targets: 8 M documents/s for the sample index, 4 for the whole order, 100 k samples/s of 2,049
tokens, a blend of 1,000 shards opened in a second, 2 M tokens/s of encoding, 0.6 by Hugging Face's.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neox.data.blend import blend, normalised
from neox.data.loader import Geometry, Loader
from neox.data.order import build_order, sample_index
from neox.data.sources import BlendSource, OrderRequest, SplitSource, open_blend, open_split
from neox.data.splits import Part
from neox.data.token_writer import TokenFileWriter
from tests.bench import bench_encoding
from tests.bench.bench_encoding import say

DOCUMENTS = 4_000_000
SEQ_LENGTH = 2048
READ = 50_000
BLOCK = 128


def best(run: Callable[[], object], times: int = 3) -> float:
    """Seconds of one core of the fastest of `times` runs."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return min(taken)


def walk(lengths: list[int], seq_length: int) -> int:
    """The document-by-document loop that the index replaces, in Python."""
    position = offset = 0
    for _ in range((sum(lengths) - 1) // seq_length):
        remaining = seq_length + 1
        while remaining > 0:
            here = lengths[position] - offset
            remaining -= here
            if remaining <= 0:
                offset += remaining + here - 1
            else:
                position, offset = position + 1, 0
    return position


def plain_index(sizes: NDArray[np.int32], seq_length: int) -> NDArray[np.int64]:
    """The same rows, as one would write them first."""
    ends = np.cumsum(sizes, dtype=np.int64)
    starts = np.arange((ends[-1] - 1) // seq_length + 1) * seq_length
    documents = np.searchsorted(ends, starts, side="right")
    return np.stack([documents, starts - (ends[documents] - sizes[documents])], axis=1)


def bench_order() -> None:
    sizes = np.random.default_rng(0).integers(1, 2000, DOCUMENTS).astype(np.int32)
    seconds = best(lambda: sample_index(sizes, SEQ_LENGTH))
    say("sample index", DOCUMENTS / seconds / 1e6, "M documents/s")
    few = sizes[:200_000].tolist()
    seconds = best(lambda: walk(few, SEQ_LENGTH), 1)
    say("  peer: a Python loop", len(few) / seconds / 1e6, "M documents/s")
    seconds = best(lambda: plain_index(sizes, SEQ_LENGTH))
    say("  peer: plain numpy, cumsum and searchsorted", DOCUMENTS / seconds / 1e6, "M documents/s")
    chosen = range(DOCUMENTS)
    seconds = best(lambda: build_order(sizes, chosen, seq_length=SEQ_LENGTH, samples=1, seed=1), 2)
    say("whole order, shuffles included", DOCUMENTS / seconds / 1e6, "M documents/s")


def bench_blend() -> None:
    samples, weights = 1_000_000, [0.2, 0.5, 0.3]
    say("blend of 3 sets", samples / best(lambda: blend(weights, samples)) / 1e6, "M samples/s")
    few = 100_000
    seconds = best(lambda: greedy(normalised(weights), few), 1)
    say("  peer: the rule as a Python loop", few / seconds / 1e6, "M samples/s")


def greedy(shares: list[float], samples: int) -> list[int]:
    used = [0] * len(shares)
    chosen = []
    for i in range(samples):
        behind = [share * (i or 1) - one for share, one in zip(shares, used, strict=True)]
        chosen.append(behind.index(max(behind)))
        used[chosen[-1]] += 1
    return chosen


def bench_opening(folder: Path) -> None:
    paths = tuple(str(folder / f"shard{number}") for number in range(1000))
    for path in paths:
        with TokenFileWriter(path, np.dtype("<u2")) as writer:
            for _ in range(20):
                writer.add(np.arange(500))
    source = BlendSource(paths=paths, weights=(1.0,) * len(paths))
    request = OrderRequest(samples=20_000, seq_length=512, seed=1)
    open_blend(source, request)  # builds the maps
    say("open a blend of 1,000 shards", best(lambda: open_blend(source, request)) * 1e3, "ms")


def bench_reading(folder: Path) -> None:
    generator = np.random.default_rng(0)
    with TokenFileWriter(folder / "t", np.dtype("<u2")) as writer:
        for size in generator.integers(1, 2000, 200_000):
            writer.add(generator.integers(0, 50_000, size).astype("<u2"))
    request = OrderRequest(samples=READ, seq_length=SEQ_LENGTH, seed=1)
    source = SplitSource(data_path=str(folder / "t"), split="1")
    samples = open_split(source, Part.TRAIN, request)
    seconds = best(lambda: open_split(source, Part.TRAIN, request))
    say("open with the index maps cached", seconds * 1e3, "ms")

    def read() -> None:
        for start in range(0, READ - BLOCK, BLOCK):
            samples.read(np.arange(start, start + BLOCK))

    say("read 2,049 tokens, documents of 1,000", READ / best(read), "samples/s")

    def load() -> None:
        stop = READ // BLOCK * BLOCK
        geometry = Geometry(micro_batch=32, accumulation=BLOCK // 32)
        with Loader(samples, geometry, stop=stop) as loader:
            for _ in loader:
                pass

    say("loader, 4 micro-batches of 32", READ / best(load), "samples/s")
    held = []
    for _ in range(1_000_000 // READ):
        load()
        held.append(anonymous_mb())
    grown = sum(held[-5:]) / 5 - sum(held[:5]) / 5
    say("anonymous memory, 1 M more samples: growth", grown, "MB")
    say("  and between its least and most", max(held) - min(held), "MB")


def anonymous_mb() -> float:
    text = Path("/proc/self/status").read_text()
    line = next(one for one in text.splitlines() if one.startswith("RssAnon"))
    return int(line.split()[1]) / 1e3


def main() -> None:
    bench_order()
    bench_blend()
    with tempfile.TemporaryDirectory() as folder:
        bench_opening(Path(folder))
        bench_reading(Path(folder))
    bench_encoding.main()


if __name__ == "__main__":
    main()
