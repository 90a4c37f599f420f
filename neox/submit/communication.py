"""Bytes that a rank sends in a step, over the links of its node and over the fabric: an estimate.

Rings (Patarasuk and Yuan 2009): an all-reduce of B bytes over n ranks sends 2 B (n - 1) / n from
each, a gather half of that. Where a data group has several ranks in each node, its ring enters
and leaves a node once, so that they share what crosses the fabric. Ranks are numbered tensor
first, then data, then pipeline.
"""

from dataclasses import dataclass

from neox.config.run_config import RunConfig
from neox.models.spec import ModelSpec
from neox.submit.memory import element_bytes, is_native, layers_of, stage_parameters, zero_stage
from neox.submit.plan import Geometry

GRADIENT = 4  # bytes: gradients are added up in fp32


@dataclass(frozen=True, kw_only=True)
class Communication:
    """Bytes that the busiest rank sends in one step, by what for and over what."""

    tensor: float  # within the node: tensor groups never span nodes
    data_node: float
    data_fabric: float
    pipeline_node: float
    pipeline_fabric: float

    @property
    def node(self) -> float:
        return self.tensor + self.data_node + self.pipeline_node

    @property
    def fabric(self) -> float:
        return self.data_fabric + self.pipeline_fabric

    def fabric_seconds(self, ranks_per_node: int, gb_per_second: float | None) -> float | None:
        """At the profile's bandwidth of a node, shared by its ranks; None where that is unknown."""
        if not gb_per_second:
            return None
        return self.fabric * ranks_per_node / (gb_per_second * 1e9)


def communication(
    config: RunConfig, spec: ModelSpec, cut: Geometry, ranks_per_node: int
) -> Communication:
    """Of one rank and one step."""
    data_node, data_fabric = _data(config, spec, cut, ranks_per_node)
    between = _between_stages(config, spec, cut)
    # a neighbour stage is tensor x data ranks away
    far = cut.tensor * cut.data >= ranks_per_node
    return Communication(
        tensor=_tensor(config, spec, cut),
        data_node=data_node,
        data_fabric=data_fabric,
        pipeline_node=0.0 if far else between,
        pipeline_fabric=between if far else 0.0,
    )


def _data(
    config: RunConfig, spec: ModelSpec, cut: Geometry, ranks_per_node: int
) -> tuple[float, float]:
    if cut.data == 1 or is_native(config, cut.world):
        return 0.0, 0.0
    largest = max(stage_parameters(spec, cut, stage) for stage in range(cut.pipeline))
    # gradients are reduced everywhere; with ZeRO the new weights are gathered
    gathered = element_bytes(config) if zero_stage(config) >= 1 else 0
    ring = largest * (2 * GRADIENT + gathered)
    here = min(cut.data, max(1, ranks_per_node // cut.tensor))
    places = -(-cut.data // here)
    fabric = ring * (places - 1) / places / here
    return ring * (here - 1) / here, fabric


def _tensor(config: RunConfig, spec: ModelSpec, cut: Geometry) -> float:
    """Two all-reduces a layer forward and two back (Shoeybi et al. 2019), recomputed ones again."""
    if cut.tensor == 1:
        return 0.0
    passes = 6 if config.recompute.checkpoint_activations else 4
    each = _hidden_bytes(config, spec, cut) * 2 * (cut.tensor - 1) / cut.tensor
    return passes * layers_of(spec, cut, 0) * cut.accumulation * each


def _between_stages(config: RunConfig, spec: ModelSpec, cut: Geometry) -> float:
    """Activations forward and their gradients back, for each micro batch."""
    if cut.pipeline == 1:
        return 0.0
    return 2 * cut.accumulation * _hidden_bytes(config, spec, cut)


def _hidden_bytes(config: RunConfig, spec: ModelSpec, cut: Geometry) -> int:
    tokens = cut.micro_batch * (config.model.seq_length or 0)
    return tokens * spec.hidden_size * element_bytes(config)
