"""The engine of one process: the numeric reference, and the peer in benchmarks."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from neox.checkpoint.fragment import Fragment, FragmentReader, Kind, whole
from neox.data.batch import Batch
from neox.objectives.objective import LossParts
from neox.ops.ranges import span
from neox.parallel.mesh import Mesh
from neox.train.engine_state import engine_state, restore_engine_state
from neox.train.forward import Trainee, evaluate, no_losses
from neox.train.host_copy import HostCopy
from neox.train.loss_scale import LossScale, LossScaleSpec
from neox.train.masters import Masters
from neox.train.optimizers import (
    OptimizerSpec,
    build_optimizer,
    moment,
    state_kinds,
)
from neox.train.precision import Precision
from neox.train.report import RankReport, world_report
from neox.train.step import EngineState, EvaluationResult, StepResult
from neox.train.update import Order, update


class NativeEngine:
    """Below fp32 the model computes in the lower format; weights and gradients are kept in fp32."""

    name = "native"

    def __init__(
        self,
        trainee: Trainee,
        mesh: Mesh,
        *,
        optimizer: OptimizerSpec,
        precision: Precision,
        loss_scale: LossScaleSpec | None = None,
    ) -> None:
        assert mesh.world_size == 1, "the native engine runs one process"
        self._trainee = trainee.to(mesh.device)
        self._mesh = mesh
        self._clip = optimizer.clip
        self._scale = LossScale(loss_scale if precision == "fp16" else None)
        self._masters = Masters(trainee.model, precision)
        self._optimizer = build_optimizer(self._masters.named.items(), optimizer, mesh.device)
        self._trainee.train()

    def step(self, batches: Sequence[Batch], *, lr: float, stop: bool) -> StepResult:
        sums = no_losses(self._mesh.device)
        self._masters.begin(len(batches))
        for batch in batches:
            here = batch.to(self._mesh.device)
            with span("forward"):
                parts: LossParts = self._trainee(here)
            with span("backward"):
                (parts.total * (self._scale.value / batch.weight)).backward()  # type: ignore[no-untyped-call]
            sums.add(parts.total, parts.weight)
        with span("update"):
            return self._update(sums.total, sums.weight, lr=lr, stop=stop)

    def _update(
        self, loss_sum: torch.Tensor, weight: torch.Tensor, *, lr: float, stop: bool
    ) -> StepResult:
        gradients = self._masters.gradients()
        report = RankReport(
            loss_sum=loss_sum, weight=weight, stop=stop, gradients=gradients, counts=True
        )
        result = world_report(report, self._mesh, self._scale.value)
        verdict = HostCopy(result.bad) if self._scale.dynamic else None  # read while it updates
        order = Order(rate=lr, clip=self._clip, loss_scale=self._scale.value)
        update(self._optimizer, self._masters, gradients, result, order)
        if verdict is not None:
            self._scale.update(overflow=bool(verdict.read() > 0))
        return result

    def evaluate(self, batches: Iterable[Batch], *, stop: bool = False) -> EvaluationResult:
        return evaluate(self._trainee, batches, self._mesh, stop=stop)

    def fragments(self) -> Iterator[Fragment]:
        for name, master in self._masters.named.items():
            for kind in ("weight", *state_kinds(self._optimizer)):
                yield Fragment(
                    name=name,
                    kind=kind,
                    shape=tuple(master.shape),
                    box=whole(tuple(master.shape)),
                    start=0,
                    data=self._tensor(master, kind).detach().flatten(),
                )

    def restore(self, reader: FragmentReader, *, weights_only: bool = False) -> None:
        kinds = ("weight",) if weights_only else ("weight", *state_kinds(self._optimizer))
        with torch.no_grad():
            for name, master in self._masters.named.items():
                box = whole(tuple(master.shape))
                for kind in kinds:
                    piece = reader.read(name, kind, box, 0, master.numel())
                    self._tensor(master, kind).copy_(piece.view(master.shape))
        self._masters.refresh()

    @property
    def loss_scale(self) -> float:
        return self._scale.value

    def state(self) -> EngineState:
        return engine_state(self._optimizer, self._scale)

    def restore_state(self, state: EngineState) -> None:
        masters = list(self._masters.named.values())
        restore_engine_state(state, self._optimizer, masters, self._scale)

    def _tensor(self, master: torch.Tensor, kind: Kind) -> torch.Tensor:
        return master if kind == "weight" else moment(self._optimizer, master, kind)
