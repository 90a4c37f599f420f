"""The memory bars of the review page: what a rank of each pipeline stage holds at its fullest."""

from dataclasses import dataclass

from neox.submit.demands import gpu_memory, stage_memory
from neox.submit.drawing import GRID_SHOWN, Box, label, shown_indices
from neox.submit.memory import GB, OUTSIDE_TORCH, StageMemory
from neox.submit.plan import Plan

LEFT, BAR, HEIGHT, STEP = 48.0, 312.0, 22.0, 28.0
PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
OUTSIDE = "idle"  # the colour of what the driver and the communication library take


@dataclass(frozen=True, kw_only=True)
class MemoryFigure:
    bars: tuple[Box, ...]
    labels: tuple[Box, ...]
    limit: float | None  # where the GPU's memory ends, from the left
    limit_text: str
    width: float
    height: float
    legend: tuple[tuple[str, str], ...]  # colour, part
    folded: str


def memory_figure(plan: Plan) -> MemoryFigure | None:
    """None where nothing trains, or where the vocabulary is not known here."""
    memory = stage_memory(plan)
    if memory is None:
        return None
    gpu_gb = gpu_memory(plan)
    most = max(stage.total + OUTSIDE_TORCH for stage in memory)
    scale = BAR / max(most, (gpu_gb or 0) * GB)
    rows = [None if i is None else memory[i] for i in shown_indices(len(memory))]
    bars = [b for row, stage in enumerate(rows) if stage for b in _bars(stage, row * STEP, scale)]
    labels = [
        label(0, row * STEP, LEFT - 6, HEIGHT, f"stage {stage.stage}" if stage else "…")
        for row, stage in enumerate(rows)
    ]
    return MemoryFigure(
        bars=tuple(bars),
        labels=tuple(labels),
        limit=LEFT + gpu_gb * GB * scale if gpu_gb else None,
        limit_text=f"{gpu_gb:g} GB of the GPU" if gpu_gb else "",
        width=LEFT + BAR + 4,
        height=len(rows) * STEP,
        legend=(*((str(i), part) for i, part in enumerate(PARTS)), (OUTSIDE, "outside torch")),
        folded=f"{len(memory) - GRID_SHOWN + 1} stages not drawn" if None in rows else "",
    )


def _bars(stage: StageMemory, top: float, scale: float) -> list[Box]:
    sizes = (
        stage.weights,
        stage.gradients,
        stage.optimizer,
        stage.activations,
        stage.logits,
        stage.buffers,
        OUTSIDE_TORCH,
    )
    names, colours = (*PARTS, "outside torch"), (*map(str, range(len(PARTS))), OUTSIDE)
    boxes, left = [], LEFT
    for name, colour, size in zip(names, colours, sizes, strict=True):
        width = size * scale
        title = f"stage {stage.stage}, {name}: {size / GB:,.3g} GB"
        if size:
            boxes.append(Box(x=left, y=top, width=width, height=HEIGHT, colour=colour, title=title))
        left += width
    return boxes
