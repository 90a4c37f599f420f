"""How ranks divide the model and the batch, held against the machine before anything is queued.

Ranks are numbered tensor first, then data, then pipeline, so a tensor group is a run of
neighbouring local ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neox.config.derive import origin_of
from neox.config.run_config import RunConfig
from neox.sites.profile import NodeType
from neox.submit.layout import RankPlace
from neox.submit.plan import Geometry
from neox.submit.problem import Problem, Remedy
from neox.submit.request import Request

_FARTHEST = 20_000  # nodes; no machine of today has more


@dataclass(frozen=True, kw_only=True)
class Division:
    """The numbers of a config that a node count has to fit. None: it follows from the others."""

    pipeline: int
    tensor: int
    batch: int | None  # train_batch_size where it is given: then accumulation follows the nodes
    micro_batch: int | None
    accumulation: int | None

    def fits(self, ranks: int) -> bool:
        groups = self.pipeline * self.tensor
        return ranks % groups == 0 and self._batch_fits(ranks // groups)

    def _batch_fits(self, data: int) -> bool:
        if self.batch is None:
            return True
        each = data * (self.micro_batch or 1) * (self.accumulation or 1)
        if self.micro_batch and self.accumulation:
            return self.batch == each
        return self.batch % each == 0


def division(config: RunConfig) -> Division:
    """The sizes of a config, and those batch numbers that were given rather than derived."""
    batch = config.batch
    return Division(
        pipeline=max(1, config.parallel.pipe_parallel_size),
        tensor=max(1, config.parallel.model_parallel_size),
        batch=batch.train_batch_size if is_given(config, "train_batch_size") else None,
        micro_batch=batch.train_micro_batch_size_per_gpu
        if is_given(config, "train_micro_batch_size_per_gpu")
        else None,
        accumulation=batch.gradient_accumulation_steps
        if is_given(config, "gradient_accumulation_steps")
        else None,
    )


def is_given(config: RunConfig, name: str) -> bool:
    return origin_of(config, name).kind == "given"


def geometry_problems(
    config: RunConfig, request: Request, nodes: int, ranks_per_node: int
) -> list[Problem]:
    """What does not divide, with the node counts and values that would."""
    parts = division(config)
    world = nodes * ranks_per_node
    problems: list[Problem] = []
    if ranks_per_node % parts.tensor:
        problems.append(_tensor_problem(config, parts, ranks_per_node))
    elif world % (parts.pipeline * parts.tensor):
        text = (
            f"{nodes} nodes x {ranks_per_node} ranks = {world} ranks do not divide into "
            f"pipe_parallel_size={parts.pipeline} x model_parallel_size={parts.tensor}"
        )
        remedies = node_remedies(parts, request, nodes, ranks_per_node)
        problems.append(Problem(about="ranks", text=text, remedies=remedies))
    elif not parts.fits(world):
        problems.append(_batch_problem(config, parts, request, nodes, ranks_per_node))
    return problems


def _tensor_problem(config: RunConfig, parts: Division, ranks_per_node: int) -> Problem:
    heads = config.model.num_attention_heads or 0
    sizes = [n for n in range(1, ranks_per_node + 1) if ranks_per_node % n == 0 and heads % n == 0]
    return Problem(
        about="tensor",
        text=(
            f"{_said(config, 'model_parallel_size', parts.tensor)} does not divide the "
            f"{ranks_per_node} ranks of a node, so tensor groups would span nodes; use "
            "model_parallel_size="
            f"{' or '.join(str(size) for size in sizes)}"
        ),
    )


def _said(config: RunConfig, name: str, value: object) -> str:
    """The value with its origin, which is the same words when it came from the command line."""
    said, where = f"{name}={value}", str(origin_of(config, name))
    return said if where == said else f"{said} ({where})"


def _batch_problem(
    config: RunConfig, parts: Division, request: Request, nodes: int, ranks_per_node: int
) -> Problem:
    data = nodes * ranks_per_node // (parts.pipeline * parts.tensor)
    factors = [f"{data} data ranks ({nodes} nodes)"]
    if parts.micro_batch:
        factors.append(f"micro batch {parts.micro_batch}")
    if parts.accumulation:
        factors.append(f"accumulation {parts.accumulation}")
    said = _said(config, "train_batch_size", parts.batch)
    text = f"{said} does not divide by {' x '.join(factors)}"
    remedies = node_remedies(parts, request, nodes, ranks_per_node)
    return Problem(about="batch", text=text, remedies=remedies)


def node_remedies(
    parts: Division, request: Request, nodes: int, ranks_per_node: int
) -> tuple[Iterator[Remedy], Iterator[Remedy]]:
    """The nearest node counts below and above that the model and the batch fit."""
    below = fitting_nodes(parts, ranks_per_node, range(nodes - 1, 0, -1))
    above = fitting_nodes(parts, ranks_per_node, range(nodes + 1, _FARTHEST))
    return _as_remedies(below, request), _as_remedies(above, request)


def fitting_nodes(
    parts: Division, ranks_per_node: int, candidates: range, most: int = 12
) -> Iterator[int]:
    """Those node counts, in the order given, that divide; `most` of them."""
    found = 0
    for nodes in candidates:
        if parts.fits(nodes * ranks_per_node):
            yield nodes
            found += 1
            if found == most:
                return


def _as_remedies(counts: Iterator[int], request: Request) -> Iterator[Remedy]:
    for nodes in counts:
        yield Remedy(say=f"--nodes {nodes}", request=replace(request, nodes=nodes))


def geometry_of(config: RunConfig, world: int) -> Geometry:
    """From a config that was resolved for `world` ranks, in which every batch number is set."""
    parts = division(config)
    micro_batch = config.batch.train_micro_batch_size_per_gpu
    accumulation = config.batch.gradient_accumulation_steps
    assert micro_batch is not None, "a resolved config has a micro batch"
    assert accumulation is not None, "a resolved config has accumulation steps"
    return Geometry(
        pipeline=parts.pipeline,
        tensor=parts.tensor,
        data=world // (parts.pipeline * parts.tensor),
        micro_batch=micro_batch,
        accumulation=accumulation,
    )


def geometry_warnings(
    config: RunConfig, geometry: Geometry, node: NodeType, places: tuple[RankPlace, ...]
) -> list[str]:
    """What works and may surprise: a batch that follows the nodes, tensor groups on slow links."""
    warnings: list[str] = []
    if not is_given(config, "train_batch_size"):
        tokens = geometry.global_batch * (config.model.seq_length or 0)
        warnings.append(
            f"the batch follows the number of nodes: {geometry.global_batch:,} sequences, "
            f"{tokens:,} tokens a step; train_batch_size={geometry.global_batch} would pin it"
        )
    crossing = _crossing_group(node, places, geometry.tensor)
    if crossing:
        gpus = ", ".join(str(place.gpu) for place in crossing)
        warnings.append(
            f"model_parallel_size={geometry.tensor}: the tensor group on GPUs {gpus} spans GPUs "
            f"without a fast link between them, which slows every layer"
        )
    return warnings


def _crossing_group(
    node: NodeType, places: tuple[RankPlace, ...], tensor: int
) -> tuple[RankPlace, ...] | None:
    """The first tensor group whose GPUs do not lie on one island."""
    if node.gpu is None or not node.gpu.islands or places[0].gpu is None:
        return None
    islands = [set(island) for island in node.gpu.islands]
    for start in range(0, len(places), tensor):
        group = places[start : start + tensor]
        if not any({place.gpu for place in group} <= island for island in islands):
            return group
    return None
