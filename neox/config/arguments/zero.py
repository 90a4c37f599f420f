"""ZeRO: optimizer state, gradients and weights shared out over data ranks."""

from dataclasses import dataclass
from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen

_STAGE3 = "ZeRO 3 is not built yet"
_OFFLOAD = "offloading is not built yet"
_ZEROPP = "ZeRO++ is not built yet"
_COPY = "follows zero_optimization.{}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Offload(Frozen):
    """Where optimizer state or weights go between their uses."""

    device: Literal["none", "cpu", "nvme"] = argument("none", "Where to.")
    nvme_path: str | None = argument(None, "Directory on the NVMe drive.")
    pin_memory: bool = argument(True, "Use page-locked host memory.")
    buffer_count: int = argument(4, "Buffers in flight.")
    buffer_size: int = argument(100_000_000, "Size of a buffer.", unit="elements")
    max_in_cpu: int = argument(1_000_000_000, "Weights kept in host memory.", unit="elements")
    pipeline_read: bool = argument(False, "Read the next part while this one is used.")
    pipeline_write: bool = argument(False, "Write the last part while this one is used.")
    fast_init: bool = argument(False, "Start the NVMe copy quickly.")
    ratio: float = argument(1.0, "Share that is offloaded, from 0 to 1.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ZeroOptimization(Frozen):
    """DeepSpeed's zero_optimization section; defaults as GPT-NeoX's."""

    stage: Literal[0, 1, 2, 3] = argument(
        0,
        "What is shared out: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too.",
        not_yet="ZeRO 2 and 3 are not built yet",
        built=(0, 1),
    )
    allgather_partitions: bool = argument(True, "Gather weights in one call after the step.")
    allgather_bucket_size: int = argument(
        500_000_000, "Elements gathered at a time.", unit="elements"
    )
    overlap_comm: bool = argument(False, "Reduce gradients while the backward pass goes on.")
    reduce_scatter: bool = argument(True, "Reduce gradients to their owner alone.")
    reduce_bucket_size: int = argument(500_000_000, "Elements reduced at a time.", unit="elements")
    contiguous_gradients: bool = argument(False, "Copy gradients into one buffer as they come.")
    round_robin_gradients: bool = argument(False, "Deal gradients to ranks in turn.")
    use_multi_rank_bucket_allreduce: bool = argument(True, "One bucket may serve several ranks.")
    ignore_unused_parameters: bool = argument(True, "Weights without a gradient are no error.")
    elastic_checkpoint: bool = argument(False, "DeepSpeed's elastic checkpoints.", status="unread")
    load_from_fp32_weights: bool = argument(True, "Restore from the fp32 copy.", status="unread")
    cpu_offload: bool = argument(False, "Older form of offload_optimizer.", not_yet=_OFFLOAD)
    cpu_offload_params: bool = argument(False, "Older form of offload_param.", not_yet=_OFFLOAD)
    cpu_offload_use_pin_memory: bool = argument(
        False, "Older form of offload_optimizer.pin_memory.", not_yet=_OFFLOAD
    )
    offload_optimizer: Offload | None = argument(
        None, "Where the optimizer state lives.", not_yet=_OFFLOAD
    )
    offload_param: Offload | None = argument(None, "Where weights live.", not_yet=_OFFLOAD)
    sub_group_size: int = argument(
        1_000_000_000, "Elements updated at a time.", unit="elements", not_yet=_STAGE3
    )
    stage3_prefetch_bucket_size: int = argument(
        50_000_000, "Elements fetched ahead.", unit="elements", not_yet=_STAGE3
    )
    stage3_param_persistence_threshold: int = argument(
        100_000, "Smaller weights stay whole.", unit="elements", not_yet=_STAGE3
    )
    stage3_max_live_parameters: int = argument(
        1_000_000_000, "Elements held whole at a time.", unit="elements", not_yet=_STAGE3
    )
    stage3_max_reuse_distance: int = argument(
        1_000_000_000, "Keep weights that are used again this soon.", not_yet=_STAGE3
    )
    stage3_gather_16bit_weights_on_model_save: bool = argument(
        False, "Gather whole weights at a save.", not_yet=_STAGE3
    )
    stage3_gather_fp16_weights_on_model_save: bool = argument(
        False, "Older name of the same.", not_yet=_STAGE3
    )
    zero_hpz_partition_size: int = argument(1, "Ranks of a second, near copy.", not_yet=_ZEROPP)
    zero_quantized_weights: bool = argument(False, "Gather weights quantised.", not_yet=_ZEROPP)
    zero_quantized_gradients: bool = argument(False, "Reduce gradients quantised.", not_yet=_ZEROPP)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Zero(Frozen):
    """ZeRO and its other names."""

    zero_optimization: ZeroOptimization = argument(
        ZeroOptimization(), "ZeRO with DeepSpeed's keys."
    )
    zero_allow_untested_optimizer: bool = argument(
        False,
        "Let DeepSpeed share out any optimizer.",
        status="chosen",
        note="the engine allows the optimizers that it has tests for",
    )
    zero_stage: Literal[0, 1, 2, 3] | None = argument(
        None, "ZeRO's stage.", status="derived", note=_COPY.format("stage")
    )
    zero_reduce_scatter: bool | None = argument(
        None, "The same.", status="derived", note=_COPY.format("reduce_scatter")
    )
    zero_contiguous_gradients: bool | None = argument(
        None, "The same.", status="derived", note=_COPY.format("contiguous_gradients")
    )
    zero_reduce_bucket_size: int | None = argument(
        None, "The same.", status="derived", note=_COPY.format("reduce_bucket_size")
    )
    zero_allgather_bucket_size: int | None = argument(
        None, "The same.", status="derived", note=_COPY.format("allgather_bucket_size")
    )
