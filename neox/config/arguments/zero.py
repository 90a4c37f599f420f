"""ZeRO: optimizer state, gradients and weights shared out over data ranks."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_STAGE3 = "ZeRO 3 is not built yet"
_OFFLOAD = "offloading is not built yet"
_ZEROPP = "ZeRO++ is not built yet"
_COPY = "follows zero_optimization.{}"


@frozen
class OffloadParam(Frozen):
    """Where weights go between their uses."""

    device: Literal["none", "cpu", "nvme"] = argument("none", "Where to.")
    nvme_path: str | None = argument(None, "Directory on the NVMe drive.")
    buffer_count: int = argument(5, "Buffers in flight.")
    buffer_size: int = argument(100_000_000, "Size of a buffer.", unit="elements")
    max_in_cpu: int = argument(1_000_000_000, "Weights kept in host memory.", unit="elements")
    pin_memory: bool = argument(True, "Use page-locked host memory.")


@frozen
class OffloadOptimizer(Frozen):
    """Where optimizer state goes between its uses."""

    device: Literal["none", "cpu", "nvme"] = argument("none", "Where to.")
    nvme_path: str | None = argument(None, "Directory on the NVMe drive.")
    buffer_count: int = argument(4, "Buffers in flight.")
    pin_memory: bool = argument(True, "Use page-locked host memory.")
    pipeline_read: bool = argument(False, "Read the next part while this one is used.")
    pipeline_write: bool = argument(False, "Write the last part while this one is used.")
    fast_init: bool = argument(False, "Start the NVMe copy quickly.")
    ratio: float = argument(1.0, "Share that is updated in host memory, from 0 to 1.")
    super_offload: bool = argument(False, "DeepSpeed's SuperOffload, for Grace Hopper.")
    cpuadam_cores_perc: float = argument(0.8, "Share of the cores that SuperOffload takes.")


@frozen
class ZenFlow(Frozen):
    """Updates in host memory that the GPU does not wait for."""

    topk_ratio: float = argument(0.1, "Share of gradient columns that are updated at once.")
    select_strategy: Literal["auto", "step", "epoch"] = argument("auto", "When to choose them.")
    select_interval: int | Literal["auto"] = argument("auto", "Steps or epochs between choices.")
    update_interval: int | Literal["auto"] = argument("auto", "Steps between the others' updates.")
    overlap_step: bool = argument(False, "Update while the next step computes.")
    offload: bool = argument(False, "Keep the chosen ones' state in host memory.")
    auto_ratio: float = argument(0.99, "Threshold of the automatic interval.")
    full_warm_up_rounds: int = argument(0, "Steps at the start that update everything.")
    pt_reserved_cores_perc: float = argument(0.5, "Share of the cores that PyTorch keeps.")
    steps_per_epoch: int | None = argument(None, "Steps of an epoch.", unit="steps")


@frozen
class LeafModules(Frozen):
    """Modules that ZeRO 3 gathers as one, with their children."""

    classes: tuple[str, ...] = argument((), "By class.")
    names: tuple[str, ...] = argument((), "By name.")
    name_suffixes: tuple[str, ...] = argument((), "By the end of the name.")


@frozen
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
    cpu_offload_param: bool = argument(False, "Older form of offload_param.", not_yet=_OFFLOAD)
    cpu_offload_params: bool = argument(False, "Still older form of it.", not_yet=_OFFLOAD)
    cpu_offload_use_pin_memory: bool = argument(
        False, "Older form of offload_optimizer.pin_memory.", not_yet=_OFFLOAD
    )
    offload_optimizer: OffloadOptimizer | None = argument(
        None, "Where the optimizer state lives.", not_yet=_OFFLOAD
    )
    offload_param: OffloadParam | None = argument(None, "Where weights live.", not_yet=_OFFLOAD)
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
    stage3_model_persistence_threshold: int | None = argument(
        None, "How much may stay whole at all.", unit="elements", not_yet=_STAGE3
    )
    stage3_module_granularity_threshold: int = argument(
        0, "Smaller modules are gathered as one.", unit="elements", not_yet=_STAGE3
    )
    stage3_use_all_reduce_for_fetch_params: bool = argument(
        False, "Gather weights by adding zeros.", not_yet=_STAGE3
    )
    stage3_allgather_sequential: bool = argument(
        False, "Gather one weight after the other.", not_yet=_STAGE3
    )
    memory_efficient_linear: bool = argument(
        True, "Matrices that keep no gathered weight for the backward pass.", not_yet=_STAGE3
    )
    override_module_apply: bool = argument(True, "Gather in Module.apply, too.", not_yet=_STAGE3)
    pipeline_loading_checkpoint: bool = argument(
        False, "Load a checkpoint piece by piece.", not_yet=_STAGE3
    )
    log_trace_cache_warnings: bool = argument(
        False, "Warn where the order of modules changes.", not_yet=_STAGE3
    )
    leaf_module: LeafModules | None = argument(
        None, "Modules that are gathered as one.", not_yet=_STAGE3
    )
    zenflow: ZenFlow | None = argument(
        None, "Updates that nobody waits for.", not_yet="ZenFlow is not built"
    )
    legacy_stage1: bool = argument(
        False, "The first form of ZeRO 1.", not_yet="ZeRO 1 has one form here"
    )
    parameter_alignment: bool = argument(
        False, "Begin each weight at an aligned address.", not_yet="weights are not aligned"
    )
    compute_grad_norm: bool = argument(
        True,
        "Compute the gradient's norm.",
        status="chosen",
        note="the engine always computes the norm itself",
    )
    enable_sanity_checks: bool = argument(
        False,
        "Check gradients that arrive twice.",
        not_yet="DeepSpeed's checks are not switched on",
    )
    save_muon_momentum_buffer_in_memory: bool = argument(
        False, "Keep Muon's momentum on the GPU.", not_yet="Muon is not built"
    )
    zero_hpz_partition_size: int = argument(1, "Ranks of a second, near copy.", not_yet=_ZEROPP)
    zero_quantized_weights: bool = argument(False, "Gather weights quantised.", not_yet=_ZEROPP)
    zero_quantized_gradients: bool = argument(False, "Reduce gradients quantised.", not_yet=_ZEROPP)
    zero_quantized_nontrainable_weights: bool = argument(
        False, "Gather frozen weights quantised.", not_yet=_ZEROPP
    )


@frozen
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
