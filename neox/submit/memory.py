"""What one rank of each pipeline stage holds on its GPU, estimated from the model and the engines.

Native keeps fp32 masters with a copy in the lower format and adds gradients up in fp32. DeepSpeed
0.19 does the same in flat buffers: below fp32 (ZeRO 1) it cuts masters and moments over the data
ranks, and keeps a whole fp32 gradient beside the one in the lower format.
Three moments can be the fullest: the loss, the first layers of the backward pass, and the update.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from neox.config.run_config import RunConfig
from neox.models.activations import (
    backward_bytes,
    ends_bytes,
    head_gradient_bytes,
    layer_bytes,
    loss_bytes,
)
from neox.models.count import parameters
from neox.models.shapes import Shape, layer_shapes
from neox.models.spec import ModelSpec
from neox.parallel.sharding import shard_box
from neox.submit.plan import Geometry

GB = 1e9
MATRIX_WORKSPACE = 64 * 2**20  # of cuBLAS: one for each of the two threads that call it
OUTSIDE_TORCH = 2 * GB  # the driver's context and the communication library's own buffers


@dataclass(frozen=True, kw_only=True)
class StageMemory:
    """Bytes of one rank of a stage at its fullest moment."""

    stage: int
    moment: str  # "loss", "backward", "update"
    weights: float  # as the model computes with them
    gradients: float
    optimizer: float  # fp32 masters and moments
    activations: float
    logits: float
    buffers: float  # workspaces, reduction buckets

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.transient

    @property
    def transient(self) -> float:
        """What a smaller micro batch makes smaller, and the buffers."""
        return self.activations + self.logits + self.buffers


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Bytes that training keeps for each parameter of a rank."""

    weights: float
    optimizer: float
    gradients: float  # once they are there
    early_gradients: float  # those that are there before the backward pass


def stages(config: RunConfig, spec: ModelSpec, cut: Geometry) -> tuple[StageMemory, ...]:
    """The estimate for each stage, first to last."""
    return tuple(_stage(config, spec, cut, stage) for stage in range(cut.pipeline))


def fullest(memory: tuple[StageMemory, ...]) -> StageMemory:
    return max(memory, key=lambda stage: stage.total)


def fits(memory: tuple[StageMemory, ...], gpu_gb: float) -> bool:
    return fullest(memory).total + OUTSIDE_TORCH <= gpu_gb * GB


def element_bytes(config: RunConfig) -> int:
    return 4 if config.precision.precision in (None, "fp32") else 2


def is_native(config: RunConfig, world: int) -> bool:
    """Whether one process trains alone; the rule of `engine: auto`."""
    engine = config.parallel.engine
    return engine == "native" or (engine == "auto" and world == 1)


def zero_stage(config: RunConfig) -> int:
    """As the engine takes it: below fp32 the masters are ZeRO 1's."""
    stage = config.zero.zero_optimization.stage
    return stage if element_bytes(config) == 4 else max(stage, 1)


def layers_of(spec: ModelSpec, cut: Geometry, stage: int) -> int:
    """Layers of a stage, dealt evenly; the first stages take what is left over."""
    each, left = divmod(spec.num_layers, cut.pipeline)
    return each + (stage < left)


def stage_parameters(spec: ModelSpec, cut: Geometry, stage: int) -> int:
    """Parameters of one rank of a stage. A tied head keeps a second embedding in the last one."""
    vocab = spec.vocab_size * spec.hidden_size // cut.tensor
    first, last = stage == 0, stage == cut.pipeline - 1
    norm = 2 * spec.hidden_size if last else 0
    head = vocab if last and not (spec.tied_head and first) else 0
    layer = sum(_elements(n, s, cut.tensor) for n, s in layer_shapes(spec, 0).items())
    return layers_of(spec, cut, stage) * layer + (vocab if first else 0) + norm + head


def kept(config: RunConfig, cut: Geometry) -> Kept:
    """Bytes for each parameter, by the engine, its number format and ZeRO."""
    element = element_bytes(config)
    share = cut.data if zero_stage(config) >= 1 else 1
    moments = 8 if config.optimizer.optimizer.type != "SGD" else 0
    accumulated = 4 if cut.accumulation > 1 else 0
    if is_native(config, cut.world):
        masters = 4 if element < 4 else 0
        return Kept(
            weights=element, optimizer=moments + masters, gradients=4, early_gradients=accumulated
        )
    if zero_stage(config) == 0:
        return Kept(weights=4, optimizer=moments, gradients=4, early_gradients=accumulated)
    optimizer = (4 + moments) / share
    if config.precision.precision == "bfloat16":
        # the fp32 sums are made at the start and never given back; each bf16 gradient joins its
        # sum in the backward pass and is gone
        return Kept(weights=element, optimizer=optimizer, gradients=4, early_gradients=4)
    lower = element if element < 4 else 0
    own = 4 / share  # the partition's gradients beside the accumulated ones
    return Kept(
        weights=element,
        optimizer=optimizer,
        gradients=4 + max(lower, own),
        early_gradients=accumulated,
    )


def _elements(name: str, shape: Shape, tensor: int) -> int:
    total = 1
    for size in shard_box(name, shape, 0, tensor).shape:
        total *= size
    return total


def _stage(config: RunConfig, spec: ModelSpec, cut: Geometry, stage: int) -> StageMemory:
    return max(_moments(config, spec, cut, stage), key=lambda moment: moment.total)


def _moments(
    config: RunConfig, spec: ModelSpec, cut: Geometry, stage: int
) -> Iterator[StageMemory]:
    each, number = kept(config, cut), stage_parameters(spec, cut, stage)
    tokens = cut.micro_batch * (config.model.seq_length or 0)
    last = stage == cut.pipeline - 1
    stored, again = _activations(config, spec, cut, stage)
    element = element_bytes(config)
    # the gradient of the widest matrix, in the model's own format, until it has been added up
    widest = element * spec.vocab_size * spec.hidden_size / cut.tensor if stage == 0 or last else 0
    going_back = again + tokens * backward_bytes(spec, element, cut.tensor)
    # the widest gradient while it is added to its fp32 sum; one micro batch adds nothing up
    added = 4 * widest / element if each.early_gradients else widest
    head, logits_there = 0.0, 0.0
    if last:
        head = head_gradient_bytes(spec, tokens, element, cut.tensor)
        logits_there = loss_bytes(spec, tokens, element, cut.tensor)
    for moment, gradients, activations, logits in (
        # the product for a chunk's share of the head's gradient stands beside their sum
        ("loss", head + widest, stored, logits_there),
        ("backward", head + added, stored + going_back, 0.0),
        ("update", (each.gradients - each.early_gradients) * number + widest, 0.0, 0.0),
    ):
        yield StageMemory(
            stage=stage,
            moment=moment,
            weights=each.weights * number,
            gradients=each.early_gradients * number + gradients,
            optimizer=each.optimizer * number,
            activations=activations,
            logits=logits,
            buffers=MATRIX_WORKSPACE + _buckets(config, spec, cut, number),
        )


def _activations(
    config: RunConfig, spec: ModelSpec, cut: Geometry, stage: int
) -> tuple[float, float]:
    """Bytes stored until the backward pass, and those that recomputing fills anew.

    One-forward-one-backward: stage s of p holds at most p - s micro batches.
    """
    element, layers = element_bytes(config), layers_of(spec, cut, stage)
    tokens = cut.micro_batch * (config.model.seq_length or 0)
    layer = layer_bytes(spec, element, cut.tensor)
    flying = min(cut.accumulation, cut.pipeline - stage)
    ends = ends_bytes(spec, element) if stage == cut.pipeline - 1 else 0
    if not config.recompute.checkpoint_activations:
        return tokens * (flying * layers * layer + ends), 0.0
    together = min(config.recompute.checkpoint_num_layers, layers)
    groups = -(-layers // together)
    return (
        tokens * (flying * groups * element * spec.hidden_size + ends),
        tokens * together * layer,
    )


def _buckets(config: RunConfig, spec: ModelSpec, cut: Geometry, number: int) -> float:
    """Gradients of several ranks are flattened into buckets before they are added up."""
    if cut.data == 1 or is_native(config, cut.world) or config.precision.precision == "bfloat16":
        return 0.0
    largest = parameters(spec).total  # the engine asks for no larger bucket
    return 4.0 * min(config.zero.zero_optimization.reduce_bucket_size, largest, number)
