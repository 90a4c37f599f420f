"""Some steps of each contender under torch's profiler: kernels by kind, to be compared."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from neox.monitor.trace import read_trace
from neox.monitor.trace_summary import summarise, table
from tests.bench.step.contest import Contender

STEPS = 3


def trace(contenders: Sequence[Contender], folder: Path, say: Callable[[str], None]) -> None:
    """Leaves NAME.json.gz of each in `folder`, and says where its steps went."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in contenders:
        with profile(activities=[ProfilerActivity.CUDA]) as recorded:
            one.steps(STEPS)
            torch.cuda.synchronize()
        path = folder / f"{one.name.replace(' ', '-').replace(',', '')}.json.gz"
        recorded.export_chrome_trace(str(path))
        say(f"\n{one.name}: {path}")
        say("\n".join(table(summarise(read_trace(path, STEPS)))))
