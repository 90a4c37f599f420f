"""Which ways to divide a model and its batch over so many nodes fit, and which should be fastest.

The model: a step takes its arithmetic, longer by the pipeline's bubble (p - 1) / m of p stages
and m micro batches (Narayanan et al. 2021), and what ranks send at the speed of their links and
of the fabric, as if nothing overlapped. A larger micro batch wins where that makes no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from neox.config.run_config import RunConfig
from neox.models.spec import ModelSpec
from neox.parallel.sharding import ShardingError, check_divisible
from neox.sites.profile import NodeType, Profile
from neox.submit.communication import communication
from neox.submit.estimate import pace_of
from neox.submit.geometry import division, is_given
from neox.submit.memory import GB, fits, fullest, stages
from neox.submit.plan import Geometry

LINK_GB = 50.0  # a second and one way between two GPUs of a node: NVLink 2, one xGMI link
LARGEST_MICRO_BATCH = 64
OF_EACH = 2  # micro batches shown of one division


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the geometries are held against."""

    site: Profile
    node: NodeType
    nodes: int
    ranks_per_node: int


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    cut: Geometry
    memory_gb: float  # of the fullest rank
    bubble: float  # share of a step that stages wait
    node_seconds: float  # sending within the node
    fabric_seconds: float
    step_seconds: float  # all of it

    @property
    def order(self) -> tuple[float, int, int]:
        """Best first; three digits of a time, because it is an estimate."""
        return (float(f"{self.step_seconds:.3g}"), self.cut.pipeline, -self.cut.micro_batch)


def suggestions(config: RunConfig, spec: ModelSpec, machine: Machine) -> tuple[Suggestion, ...]:
    """Those that divide and fit into the GPU's memory, best first."""
    assert machine.node.gpu is not None, "a site without GPUs has no geometry to suggest"
    gpu_gb = machine.node.gpu.memory_gb
    found: dict[tuple[int, int], list[Suggestion]] = {}
    for cut in _cuts(config, spec, machine):
        memory = stages(config, spec, cut)
        if fits(memory, gpu_gb):
            one = _rated(config, spec, cut, machine, fullest(memory).total / GB)
            found.setdefault((cut.pipeline, cut.tensor), []).append(one)
    best = (sorted(each, key=lambda s: s.order)[:OF_EACH] for each in found.values())
    return tuple(sorted((s for each in best for s in each), key=lambda s: s.order))


def overrides(config: RunConfig, cut: Geometry) -> tuple[str, ...]:
    """KEY=VALUE for the command line."""
    words = [
        f"pipe_parallel_size={cut.pipeline}",
        f"model_parallel_size={cut.tensor}",
        f"train_micro_batch_size_per_gpu={cut.micro_batch}",
    ]
    pinned = is_given(config, "train_batch_size")
    if not pinned or is_given(config, "gradient_accumulation_steps"):
        words.append(f"gradient_accumulation_steps={cut.accumulation}")
    return tuple(words)


def _cuts(config: RunConfig, spec: ModelSpec, machine: Machine) -> Iterator[Geometry]:
    world = machine.nodes * machine.ranks_per_node
    for tensor in _divisors(machine.ranks_per_node):
        if not _shares(spec, tensor):
            continue
        for pipeline in _divisors(world // tensor):
            if spec.num_layers % pipeline == 0:
                data = world // tensor // pipeline
                yield from _batches(_batch(config, world), pipeline, tensor, data)


def _batches(batch: int, pipeline: int, tensor: int, data: int) -> Iterator[Geometry]:
    if batch % data:
        return
    for micro_batch in _divisors(batch // data):
        if micro_batch <= LARGEST_MICRO_BATCH:
            yield Geometry(
                pipeline=pipeline,
                tensor=tensor,
                data=data,
                micro_batch=micro_batch,
                accumulation=batch // data // micro_batch,
            )


def _batch(config: RunConfig, world: int) -> int:
    """Samples of a step: as pinned, else as the config's own division makes them."""
    parts = division(config)
    if parts.batch is not None:
        return parts.batch
    data = max(1, world // (parts.pipeline * parts.tensor))
    return (parts.micro_batch or 1) * (parts.accumulation or 1) * data


def _shares(spec: ModelSpec, tensor: int) -> bool:
    try:
        check_divisible(spec, tensor)
    except ShardingError:
        return False
    return True


def _rated(
    config: RunConfig, spec: ModelSpec, cut: Geometry, machine: Machine, memory_gb: float
) -> Suggestion:
    sent = communication(config, spec, cut, machine.ranks_per_node)
    speed = machine.site.network.gb_per_second_per_node
    fabric = sent.fabric_seconds(machine.ranks_per_node, speed) or 0.0
    within = sent.node / (LINK_GB * GB)
    work = pace_of(config, spec, cut, machine.node, machine.nodes).step_seconds
    waits = cut.pipeline - 1
    return Suggestion(
        cut=cut,
        memory_gb=memory_gb,
        bubble=waits / (cut.accumulation + waits),
        node_seconds=within,
        fabric_seconds=fabric,
        step_seconds=work * (1 + waits / cut.accumulation) + within + fabric,
    )


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
