"""Estimates from the model's size: seconds of a step and of a save. Never more than estimates."""

from neox.config.run_config import RunConfig
from neox.models.count import checkpoint_bytes, flops_per_token
from neox.models.spec import ModelSpec
from neox.sites.profile import NodeType
from neox.submit.plan import Geometry
from neox.submit.walltime import Pace

# of a GPU's peak: what well-tuned runs of this size report (PaLM, Megatron-LM: 0.3 to 0.5)
UTILISATION = 0.38
# what a node writes to a parallel file system; sites do not publish it for one job
WRITE_BYTES_PER_NODE = 1e9

_PEAK_NAMES = {"fp16": "fp16", "bfloat16": "bf16", "fp32": "fp32"}


def pace_of(
    config: RunConfig, spec: ModelSpec, geometry: Geometry, node: NodeType, nodes: int
) -> Pace:
    """Step and save times; a step is 0 where the peak speed of a rank is not known."""
    return Pace(
        step_seconds=_step_seconds(config, spec, geometry, node),
        save_seconds=checkpoint_bytes(spec) / (nodes * WRITE_BYTES_PER_NODE),
    )


def _step_seconds(config: RunConfig, spec: ModelSpec, geometry: Geometry, node: NodeType) -> float:
    sequence = config.model.seq_length
    peak = _PEAK_NAMES[config.precision.precision or "fp32"]
    if node.gpu is None or sequence is None or peak not in node.gpu.peak_tflops:
        return 0.0
    flops = flops_per_token(spec, sequence).full * geometry.global_batch * sequence
    return flops / (geometry.world * node.gpu.peak_tflops[peak] * 1e12 * UTILISATION)
