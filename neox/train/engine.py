"""The engine of many processes: DeepSpeed moves gradients and weights, we keep the numbers.

DeepSpeed reduces gradients, holds ZeRO's partitions and gathers weights. The loss, the fp64 norm,
clipping, the loss scale and the verdict about a step are ours, the same as in the native engine:
between the last backward pass and the update, the reduced gradients are read where DeepSpeed put
them, and in bf16 the update is ours, too (`neox/train/zero.py`, for DeepSpeed 0.19).
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from neox.checkpoint.fragment import Fragment, FragmentReader, Kind, whole
from neox.data.batch import Batch
from neox.objectives.objective import LossParts
from neox.ops.ranges import span
from neox.parallel.mesh import Mesh
from neox.train.engine_state import engine_state, restore_engine_state
from neox.train.forward import Trainee, evaluate, no_losses
from neox.train.host_copy import HostCopy
from neox.train.loss_scale import LossScale, LossScaleSpec
from neox.train.optimizers import (
    Optimizer,
    OptimizerSpec,
    build_optimizer,
    moment,
    set_rate,
    state_kinds,
)
from neox.train.partitions import Partition, Piece
from neox.train.precision import Precision
from neox.train.report import RankReport, apply_verdict, world_report
from neox.train.step import EngineState, EvaluationResult, StepResult
from neox.train.zero import zero_of


@dataclass(frozen=True, kw_only=True)
class ZeroSpec:
    """The fields of DeepSpeed's zero_optimization that matter up to stage 1; its names, too."""

    stage: int = 0
    reduce_bucket_size: int = 500_000_000  # elements
    allgather_bucket_size: int = 500_000_000
    allgather_partitions: bool = True
    overlap_comm: bool = False
    reduce_scatter: bool = True
    contiguous_gradients: bool = False
    round_robin_gradients: bool = False
    use_multi_rank_bucket_allreduce: bool = True
    ignore_unused_parameters: bool = True


class DeepSpeedEngine:
    """Data parallel over the mesh's data ranks with ZeRO 0 or 1. Needs the process group."""

    def __init__(
        self,
        trainee: Trainee,
        mesh: Mesh,
        *,
        optimizer: OptimizerSpec,
        precision: Precision,
        zero: ZeroSpec,
        micro_batch: int,
        accumulation: int,
        loss_scale: LossScaleSpec | None = None,
    ) -> None:
        stage = effective_stage(precision, zero.stage)
        self.name = f"deepspeed, ZeRO {stage}"
        self._mesh = mesh
        self._clip = optimizer.clip
        self._scale = LossScale(loss_scale if precision == "fp16" else None)
        trainee.to(mesh.device)
        named = dict(trainee.model.named_parameters())
        initial: dict[str, torch.Tensor] = {}
        if precision != "fp32":  # DeepSpeed makes its fp32 masters from rounded weights
            initial = {name: p.detach().to("cpu", copy=True) for name, p in named.items()}
        self._optimizer = build_optimizer(named.items(), optimizer, mesh.device)
        settings = _settings(precision, replace(zero, stage=stage), trainee)
        settings |= {
            "train_micro_batch_size_per_gpu": micro_batch,
            "gradient_accumulation_steps": accumulation,
            "train_batch_size": micro_batch * accumulation * mesh.data_size,
        }
        self._engine = _initialize(trainee, self._optimizer, settings, mesh)
        self._zero = zero_of(self._engine, precision, stage, named, mesh)
        if initial:
            self._load_masters(initial)
        self._engine.train()

    def step(self, batches: Sequence[Batch], *, lr: float, stop: bool) -> StepResult:
        sums = no_losses(self._mesh.device)
        for number, batch in enumerate(batches, start=1):
            here = batch.to(self._mesh.device)
            self._engine.set_gradient_accumulation_boundary(number == len(batches))
            with span("forward"):
                parts: LossParts = self._engine(here)
            # DeepSpeed averages over data ranks, the loss is divided by all ranks' weight
            share = self._scale.value * self._mesh.data_size / batch.weight
            with span("backward"):
                self._engine.backward(parts.total * share, scale_wrt_gas=False)
            sums.add(parts.total, parts.weight)
        with span("update"):
            return self._update(sums.total, sums.weight, lr=lr, stop=stop)

    def _update(
        self, loss_sum: torch.Tensor, weight: torch.Tensor, *, lr: float, stop: bool
    ) -> StepResult:
        gradients = self._zero.gradients()
        report = RankReport(
            loss_sum=loss_sum,
            weight=weight,
            stop=stop,
            gradients=gradients,
            counts=self._zero.disjoint or self._mesh.data_rank == 0,
        )
        result = world_report(report, self._mesh, self._scale.value)
        verdict = HostCopy(result.bad) if self._scale.dynamic else None  # read while it updates
        apply_verdict(
            self._optimizer, gradients, result, clip=self._clip, loss_scale=self._scale.value
        )
        set_rate(self._optimizer, lr)
        self._zero.update()
        if verdict is not None:
            self._scale.update(overflow=bool(verdict.read() > 0))
        return result

    def evaluate(self, batches: Iterable[Batch], *, stop: bool = False) -> EvaluationResult:
        return evaluate(self._engine, batches, self._mesh, stop=stop)

    def fragments(self) -> Iterator[Fragment]:
        for part in self._zero.saved():
            for piece in part.pieces:
                for kind in ("weight", *state_kinds(self._optimizer)):
                    yield Fragment(
                        name=piece.name,
                        kind=kind,
                        shape=piece.shape,
                        box=whole(piece.shape),
                        start=piece.start,
                        data=self._window(part, piece, kind),
                    )

    def restore(self, reader: FragmentReader, *, weights_only: bool = False) -> None:
        kinds = ("weight",) if weights_only else ("weight", *state_kinds(self._optimizer))
        for part in self._zero.masters():
            for piece in part.pieces:
                box = whole(piece.shape)
                for kind in kinds:
                    data = reader.read(piece.name, kind, box, piece.start, piece.length)
                    self._window(part, piece, kind).copy_(data)
        self._zero.weights_changed()

    @property
    def loss_scale(self) -> float:
        return self._scale.value

    def state(self) -> EngineState:
        return engine_state(self._optimizer, self._scale)

    def restore_state(self, state: EngineState) -> None:
        masters = [part.master for part in self._zero.masters()]
        restore_engine_state(state, self._optimizer, masters, self._scale)

    def _window(self, part: Partition, piece: Piece, kind: Kind) -> torch.Tensor:
        """The piece of a master or of its moment, as a view."""
        whole_part = part.master if kind == "weight" else moment(self._optimizer, part.master, kind)
        return whole_part.detach().view(-1)[piece.offset : piece.offset + piece.length]

    def _load_masters(self, weights: Mapping[str, torch.Tensor]) -> None:
        for part in self._zero.masters():
            for piece in part.pieces:
                source = weights[piece.name].view(-1)[piece.start : piece.start + piece.length]
                self._window(part, piece, "weight").copy_(source)
        self._zero.weights_changed()


def effective_stage(precision: Precision, stage: int) -> int:
    """Below fp32 the fp32 masters are ZeRO 1's: DeepSpeed's ZeRO 0 keeps gradients in bf16."""
    return stage if precision == "fp32" else max(stage, 1)


def _settings(precision: Precision, zero: ZeroSpec, model: nn.Module) -> dict[str, object]:
    section: dict[str, object] = asdict(zero)
    largest = sum(p.numel() for p in model.parameters())
    for name in ("reduce_bucket_size", "allgather_bucket_size"):
        # a larger bucket is only an idle buffer; DeepSpeed wants an even number
        section[name] = min(int(section[name]), largest + largest % 2)  # type: ignore[call-overload]
    if zero.stage > 0 and precision != "bf16":  # refused in bf16, whose norm is never made
        section["compute_grad_norm"] = False
    settings: dict[str, object] = {
        "gradient_clipping": 0.0,  # ours, by the fp64 norm
        "zero_optimization": section,
        "zero_allow_untested_optimizer": True,
        "data_types": {"grad_accum_dtype": "fp32"},
        "communication_data_type": "fp32",
        "steps_per_print": 1 << 62,
        "timers": {"throughput": {"enabled": False}},  # it waits for the GPU twice a step
    }
    if precision == "bf16":
        # a gradient joins its sum in fp32 as soon as it is there, and its memory is free again
        settings["bf16"] = {"enabled": True, "immediate_grad_update": True}
    if precision == "fp16":
        settings["fp16"] = {"enabled": True, "loss_scale": 1.0}  # the scale is ours
    return settings


def _initialize(
    model: nn.Module, optimizer: Optimizer, settings: dict[str, object], mesh: Mesh
) -> Any:
    """Start DeepSpeed without its launcher, its MPI search, its compiler and its chatter."""
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it; the device is given below
    os.environ.setdefault("DS_ACCELERATOR", mesh.device.type)  # no search, no warning
    import deepspeed  # noqa: PLC0415 - takes seconds, and one process never needs it
    from deepspeed.ops.op_builder.all_ops import ALL_OPS  # noqa: PLC0415

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # No op can be built: it would otherwise ask by compiling, and on a CPU build one in every rank.
    deepspeed.ops.__compatible_ops__ = dict.fromkeys(ALL_OPS, False)
    warnings.filterwarnings("ignore", "`torch.distributed.*is deprecated", FutureWarning)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its memory use, group by group
        engine, *_ = deepspeed.initialize(
            args=SimpleNamespace(device_rank=mesh.device.index or 0),
            model=model,
            optimizer=optimizer,
            config=settings,
            dist_init_required=False,
        )
    return engine
