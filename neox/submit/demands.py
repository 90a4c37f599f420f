"""The review's lines about what a rank's memory and the network have to bear; all estimates."""

from collections.abc import Iterator
from dataclasses import replace

from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.models.spec import ModelSpec
from neox.submit.communication import communication
from neox.submit.memory import GB, StageMemory, fullest, stages
from neox.submit.plan import Geometry, Plan


def memory_lines(plan: Plan) -> Iterator[str]:
    """The fullest rank by part, then the total of each stage where there are several."""
    known = _known(plan)
    if known is None:
        return
    memory = stages(*known)
    full = fullest(memory)
    of = f" of {gpu_gb:g} GB" if (gpu_gb := gpu_memory(plan)) else ""
    where = f" in stage {full.stage}" if len(memory) > 1 else ""
    yield f"estimate: {_gb(full.total)}{of} a rank{where} at its fullest, the {full.moment}"
    parts = (
        ("weights", full.weights),
        ("gradients", full.gradients),
        ("optimizer", full.optimizer),
        ("activations", full.activations),
        ("logits", full.logits),
        ("buffers", full.buffers),
    )
    yield ", ".join(f"{name} {_gb(size)}" for name, size in parts if size)
    yield _other_activations(*known)
    if len(memory) > 1:
        yield f"by stage: {', '.join(f'{stage.total / GB:,.3g}' for stage in memory)} GB"


def stage_memory(plan: Plan) -> tuple[StageMemory, ...] | None:
    """Of each pipeline stage; None where it is not known."""
    known = _known(plan)
    return None if known is None else stages(*known)


def _other_activations(config: RunConfig, spec: ModelSpec, cut: Geometry) -> str:
    """What recomputing activations saves, or would save."""
    on = config.recompute.checkpoint_activations
    other = replace(config, recompute=replace(config.recompute, checkpoint_activations=not on))
    total = _gb(fullest(stages(other, spec, cut)).total)
    return f"{total} {'without' if on else 'with'} recomputed activations"


def network_lines(plan: Plan) -> Iterator[str]:
    """Bytes that a rank sends in a step, within its node and over the fabric."""
    known = _known(plan)
    if known is None or plan.ranks == 1:
        return
    sent = communication(*known, plan.ranks_per_node)
    fabric = f" and {_gb(sent.fabric)} over the fabric" if plan.nodes > 1 else ""
    yield f"estimate: a rank sends {_gb(sent.node)} a step within its node{fabric}"
    speed = plan.site.network.gb_per_second_per_node
    seconds = sent.fabric_seconds(plan.ranks_per_node, speed)
    if sent.fabric and seconds is not None and speed is not None:
        yield f"{seconds:.2g} s of the fabric at {speed:g} GB/s a node, if nothing overlaps"


def gpu_memory(plan: Plan) -> float | None:
    """GB of the GPU of a rank; None where ranks use none."""
    gpu = plan.node_type.gpu
    return gpu.memory_gb if gpu and any(place.gpu is not None for place in plan.layout) else None


def _known(plan: Plan) -> tuple[RunConfig, ModelSpec, Geometry] | None:
    """None for a job that trains nothing, or whose vocabulary only its tokenizer knows."""
    if plan.geometry is None or plan.config.tokenizer.padded_vocab_size is None:
        return None
    return plan.config, model_spec(plan.config), plan.geometry


def _gb(size: float) -> str:
    return f"{size / GB:,.3g} GB"
