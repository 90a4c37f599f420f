"""From the typed config to what the engines, the schedule and the data take."""

from collections.abc import Mapping
from pathlib import Path

from neox.config.kernel_rules import fp8_switches
from neox.config.run_config import RunConfig
from neox.data.loader import Geometry
from neox.kernels.place import store_root
from neox.ops.fp8 import Recipe
from neox.parallel.mesh import Mesh
from neox.train.engine import ZeroSpec
from neox.train.loss_scale import LossScaleSpec
from neox.train.optimizers import OptimizerSpec
from neox.train.precision import Precision
from neox.train.schedules import Schedule


def precision(config: RunConfig) -> Precision:
    named = config.precision.precision
    return "bf16" if named == "bfloat16" else (named or "fp32")


def optimizer_spec(config: RunConfig) -> OptimizerSpec:
    section = config.optimizer.optimizer
    return OptimizerSpec(
        kind="sgd" if section.type == "SGD" else "adam",
        betas=section.params.betas,
        epsilon=section.params.eps,
        weight_decay=config.optimizer.weight_decay,
        decoupled=section.params.adam_w_mode,
        clip=config.optimizer.gradient_clipping,
    )


def schedule(config: RunConfig) -> Schedule:
    assert config.schedule.lr_decay_iters is not None
    return Schedule(
        style=config.schedule.lr_decay_style,
        peak=config.optimizer.optimizer.params.lr,
        minimum=config.schedule.min_lr,
        warmup=config.schedule.warmup,
        horizon=config.schedule.lr_decay_iters,
    )


def loss_scale_spec(config: RunConfig) -> LossScaleSpec:
    fp16 = config.precision.fp16
    return LossScaleSpec(
        static=fp16.loss_scale,
        initial_power=fp16.initial_scale_power,
        window=fp16.loss_scale_window,
        hysteresis=fp16.hysteresis,
        consecutive=fp16.consecutive_hysteresis,
        minimum=fp16.min_loss_scale,
    )


def zero_spec(config: RunConfig) -> ZeroSpec:
    section = config.zero.zero_optimization
    return ZeroSpec(
        stage=section.stage,
        reduce_bucket_size=section.reduce_bucket_size,
        allgather_bucket_size=section.allgather_bucket_size,
        allgather_partitions=section.allgather_partitions,
        overlap_comm=section.overlap_comm,
        reduce_scatter=section.reduce_scatter,
        contiguous_gradients=section.contiguous_gradients,
        round_robin_gradients=section.round_robin_gradients,
        use_multi_rank_bucket_allreduce=section.use_multi_rank_bucket_allreduce,
        ignore_unused_parameters=section.ignore_unused_parameters,
    )


def geometry(config: RunConfig, mesh: Mesh) -> Geometry:
    batch = config.batch
    assert batch.train_micro_batch_size_per_gpu is not None
    assert batch.gradient_accumulation_steps is not None
    return Geometry(
        micro_batch=batch.train_micro_batch_size_per_gpu,
        accumulation=batch.gradient_accumulation_steps,
        data_rank=mesh.data_rank,
        data_size=mesh.data_size,
    )


def recompute_layers(config: RunConfig) -> int:
    section = config.recompute
    return section.checkpoint_num_layers if section.checkpoint_activations else 0


def fp8_layers(config: RunConfig) -> frozenset[str]:
    """The linear layers that compute in fp8, by their own names."""
    return frozenset(name for layers in fp8_switches(config).values() for name in layers)


def fp8_recipe(config: RunConfig) -> Recipe:
    kernels = config.kernels
    return Recipe(hybrid=kernels.te_fp8_format == "hybrid", weight_gradients=kernels.te_fp8_wgrad)


def kernel_store(config: RunConfig, environ: Mapping[str, str]) -> Path:
    """Where built kernels and tuned products lie: where the config says, else the site."""
    own = config.kernels.fused_kernels_build_path
    return Path(own) if own else store_root(environ)


def is_native(config: RunConfig, world_size: int) -> bool:
    """`auto` is native on one rank."""
    match config.parallel.engine:
        case "native":
            return True
        case "deepspeed":
            return False
        case "auto":
            return world_size == 1
