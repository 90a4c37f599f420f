"""The figures of the review page as plain numbers: the node, the rank grid, the chain.

A place in a figure is in the figure's own units; the template prints them as inline SVG, which the
browser scales to the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neox.sites.profile import NodeType
from neox.sites.ranges import parse_cores, print_cores
from neox.sites.times import print_time
from neox.submit.layout import RankPlace
from neox.submit.plan import Geometry, Plan
from neox.submit.profiling_review import is_profiled, which_ranks

COLOURS = 8  # ranks beyond it begin with the first colour again
CORES_IN_ROW = 16
CELL = 14  # a core
GAP = 12
GRID_CELL = 42
GRID_SHOWN = 8  # rows and columns of the rank grid; more are folded
LINKS_SHOWN = 6
CHAIN_WIDTH = 360


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with a text, in a rank's colour (0 to 7), a kept-free core's, or none."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    text: str = ""
    title: str = ""  # what a pointer that rests on it reads
    outlined: bool = False


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A NUMA domain: its frame, the cores in it, and the GPUs beside them."""

    frame: Box
    cores: tuple[Box, ...]
    gpus: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class NodeFigure:
    domains: tuple[Domain, ...]
    width: float
    height: float
    legend: tuple[tuple[str, str], ...]  # colour, "rank 0: GPU 4, cores 1-7, hsn0"


@dataclass(frozen=True, kw_only=True)
class GridFigure:
    """Pipeline stages down, data replicas across; a cell holds the tensor ranks of both."""

    cells: tuple[Box, ...]
    columns: tuple[Box, ...]
    rows: tuple[Box, ...]
    width: float
    height: float
    folded: str  # what is left out, in words
    outlined: str  # what an outline means; empty where there is none


@dataclass(frozen=True, kw_only=True)
class ChainFigure:
    bars: tuple[Box, ...]
    leads: tuple[Box, ...]
    labels: tuple[Box, ...]
    width: float
    height: float


# --- the node ------------------------------------------------------------------------------------


def node_figure(plan: Plan) -> NodeFigure:
    """Every core of a node in its NUMA domain, coloured by the rank that runs on it."""
    node, bound = plan.node_type, plan.site.launcher.binding != "none"
    owner = {core: place for place in plan.layout for core in place.cores} if bound else {}
    domains: list[Domain] = []
    top = 0.0
    for number, cores in enumerate(_domains(node)):
        domain = _domain(plan, number, cores, owner, top)
        domains.append(domain)
        top += domain.frame.height + GAP
    return NodeFigure(
        domains=tuple(domains),
        width=domains[0].frame.width,
        height=top - GAP,
        legend=tuple((_colour(p.local_rank), place_text(plan, p)) for p in plan.layout),
    )


def _domains(node: NodeType) -> list[tuple[int, ...]]:
    ranges = node.numa or (f"0-{node.cores - 1}",)
    return [tuple(parse_cores(text)) for text in ranges]


def _domain(
    plan: Plan, number: int, cores: tuple[int, ...], owner: dict[int, RankPlace], top: float
) -> Domain:
    node, left, head = plan.node_type, 10.0, top + 24
    boxes = tuple(
        _core(node, core, owner, left + index % CORES_IN_ROW * CELL, head + index // 16 * CELL)
        for index, core in enumerate(cores)
    )
    below = head + -(-len(cores) // CORES_IN_ROW) * CELL + 6
    gpus = _gpus(node, plan.layout, cores, left, below)
    bottom = max((gpu.y + gpu.height for gpu in gpus), default=below - 6)
    name = f"NUMA {number}" if node.numa else "node"
    frame = Box(
        x=0,
        y=top,
        width=2 * left + CORES_IN_ROW * CELL,
        height=bottom + 10 - top,
        colour="frame",
        text=f"{name} · cores {print_cores(cores)}",
    )
    return Domain(frame=frame, cores=boxes, gpus=gpus)


def _core(node: NodeType, core: int, owner: dict[int, RankPlace], x: float, y: float) -> Box:
    colour, title = "idle", f"core {core}: nothing runs here"
    if core in node.reserved:
        colour, title = "reserved", f"core {core}: kept free for the system"
    elif core in owner:
        rank = owner[core].local_rank
        colour, title = _colour(rank), f"core {core}: rank {rank}"
    elif not owner:
        title = f"core {core}: any rank may run here"
    return Box(x=x, y=y, width=CELL - 2, height=CELL - 2, colour=colour, title=title)


def _gpus(
    node: NodeType, layout: Sequence[RankPlace], cores: tuple[int, ...], x: float, y: float
) -> tuple[Box, ...]:
    """The GPUs whose cores begin in this domain, two in a row."""
    if node.gpu is None:
        return ()
    here = [i for i, text in enumerate(node.gpu.cores) if next(iter(parse_cores(text))) in cores]
    width = CORES_IN_ROW * CELL / 2
    return tuple(
        Box(
            x=x + place % 2 * width,
            y=y + place // 2 * 26,
            width=width - 4,
            height=22,
            colour=_gpu_colour(layout, index),
            text=_gpu_text(node, layout, index),
        )
        for place, index in enumerate(here)
    )


def _gpu_colour(layout: Sequence[RankPlace], index: int) -> str:
    owners = [place.local_rank for place in layout if place.gpu == index]
    return _colour(owners[0]) if owners else "idle"


def _gpu_text(node: NodeType, layout: Sequence[RankPlace], index: int) -> str:
    owners = [f"r{place.local_rank}" for place in layout if place.gpu == index]
    nic = node.gpu.nics[index] if node.gpu and node.gpu.nics else None
    return " · ".join(part for part in (f"GPU {index}", *owners, nic) if part)


def place_text(plan: Plan, place: RankPlace) -> str:
    """ "rank 0: GPU 4, cores 1-7"."""
    bound = plan.site.launcher.binding != "none"
    parts = [f"GPU {place.gpu}"] if place.gpu is not None else []
    parts.append(f"cores {print_cores(place.cores)}" if bound else "not bound to cores")
    parts += [place.nic] if place.nic else []
    return f"rank {place.local_rank}: {', '.join(parts)}"


def _colour(rank: int) -> str:
    return str(rank % COLOURS)


# --- the ranks -----------------------------------------------------------------------------------


def grid_figure(plan: Plan) -> GridFigure | None:
    """Which ranks hold which part of the model, and on which node; None where nothing trains.

    Ranks are numbered tensor first, then data, then pipeline.
    """
    cut = plan.geometry
    if cut is None:
        return None
    stages, replicas = shown_indices(cut.pipeline), shown_indices(cut.data)
    left, top = 34.0, 20.0
    places = [(stage, data) for stage in enumerate(stages) for data in enumerate(replicas)]
    return GridFigure(
        cells=tuple(
            _cell(plan, stage, data, left + column * GRID_CELL, top + row * GRID_CELL)
            for (row, stage), (column, data) in places
        ),
        columns=tuple(
            label(left + i * GRID_CELL, 0, GRID_CELL - 4, top, _axis("dp", data))
            for i, data in enumerate(replicas)
        ),
        rows=tuple(
            label(0, top + i * GRID_CELL, left - 4, GRID_CELL - 4, _axis("pp", stage))
            for i, stage in enumerate(stages)
        ),
        width=left + len(replicas) * GRID_CELL,
        height=top + len(stages) * GRID_CELL,
        folded=_folded(cut),
        outlined=f"Outlined: {which_ranks(plan.profile)}." if plan.profile else "",
    )


def shown_indices(size: int) -> tuple[int | None, ...]:
    """All indices, or the first ones, a gap (None), and the last."""
    if size <= GRID_SHOWN:
        return tuple(range(size))
    return (*range(GRID_SHOWN - 2), None, size - 1)


def _cell(plan: Plan, stage: int | None, data: int | None, x: float, y: float) -> Box:
    cut, size = plan.geometry, GRID_CELL - 4
    assert cut is not None, "a grid is drawn of ranks that train"
    if stage is None or data is None:
        return Box(x=x, y=y, width=size, height=size, colour="gap", text="…")
    first = (stage * cut.data + data) * cut.tensor
    last = first + cut.tensor - 1
    ranks = str(first) if first == last else f"{first}-{last}"
    node = first // plan.ranks_per_node
    recorded = any(is_profiled(plan, rank) for rank in range(first, last + 1))
    return Box(
        x=x,
        y=y,
        width=size,
        height=size,
        colour=_colour(node),
        text=ranks,
        title=f"rank {ranks}: stage {stage}, replica {data}, node {node}",
        outlined=recorded,
    )


def label(x: float, y: float, width: float, height: float, text: str) -> Box:
    return Box(x=x, y=y, width=width, height=height, colour="none", text=text)


def _axis(name: str, index: int | None) -> str:
    return "" if index is None else f"{name} {index}"


def _folded(cut: Geometry) -> str:
    parts = [
        f"{size - GRID_SHOWN + 1} of {size} {noun}"
        for size, noun in ((cut.pipeline, "pipeline stages"), (cut.data, "data replicas"))
        if size > GRID_SHOWN
    ]
    return f"not drawn: {' and '.join(parts)}" if parts else ""


# --- the chain -----------------------------------------------------------------------------------


def chain_figure(plan: Plan) -> ChainFigure | None:
    """The links of a chain one after the other; the dark end is where a link saves and leaves."""
    if not plan.job.chain:
        return None
    shown = min(plan.chain, LINKS_SHOWN)
    width = CHAIN_WIDTH / shown
    lead = width * plan.lead_seconds / plan.seconds if plan.job.signal else 0.0
    names = [f"link {number}" for number in range(1, shown + 1)]
    if plan.chain > shown:
        names[-2:] = ["…", f"link {plan.chain}"]
    bars = tuple(
        Box(x=i * width, y=0, width=width - 4, height=26, colour=str(i % COLOURS), text=name)
        for i, name in enumerate(names)
    )
    leads = tuple(
        Box(x=bar.x + bar.width - lead, y=0, width=lead, height=26, colour="lead")
        for bar in bars
        if lead and bar.text != "…"
    )
    labels = tuple(
        label(bar.x, 28, bar.width, 16, "" if bar.text == "…" else print_time(plan.seconds))
        for bar in bars
    )
    return ChainFigure(bars=bars, leads=leads, labels=labels, width=CHAIN_WIDTH, height=46)
