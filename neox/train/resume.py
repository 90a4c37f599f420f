"""Where a run begins: its own latest checkpoint, the one it was told to load, or step 0."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar, cast

import torch.distributed as dist

from neox.checkpoint import directory
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.reader import Reader
from neox.config.run_config import RunConfig
from neox.data.order_inputs import OrderInputs, require_same_order
from neox.parallel.mesh import Mesh
from neox.train.step import Engine, EngineState

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Start:
    step: int  # steps that are done
    samples: int  # samples that were read
    source: Path | None  # the checkpoint folder; None: fresh weights


FRESH = Start(step=0, samples=0, source=None)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which checkpoint a run begins from."""

    folder: Path
    weights_only: bool


def find_origin(config: RunConfig, own: Path) -> Origin | None:
    """Raises CheckpointError when `load` holds none: a run asked to go on never starts afresh."""
    section = config.checkpoint
    if directory.steps(own):
        return Origin(folder=_chosen(own, section.iteration), weights_only=False)
    if section.load is None:
        return None
    return Origin(
        folder=_chosen(Path(section.load), section.iteration), weights_only=section.finetune
    )


def begin(engine: Engine, origin: Origin | None, order: OrderInputs) -> Start:
    """Bring the engine to where the checkpoint was.

    Raises CheckpointError for a damaged one, OrderMismatch where the data changed since.
    """
    if origin is None:
        return FRESH
    reader = Reader(origin.folder)
    engine.restore(reader, weights_only=origin.weights_only)
    if origin.weights_only:
        return Start(step=0, samples=0, source=origin.folder)
    saved = SavedState.of(reader)
    require_same_order(saved.order, order)
    engine.restore_state(saved.engine)
    return Start(step=reader.step, samples=saved.samples, source=origin.folder)


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """The run's part of a checkpoint, beside its tensors."""

    samples: int
    order: OrderInputs
    engine: EngineState

    def to_json(self) -> dict[str, object]:
        return {
            "samples": self.samples,
            "order": self.order.to_json(),
            "engine": asdict(self.engine),
        }

    @classmethod
    def of(cls, reader: Reader) -> "SavedState":
        """Raises CheckpointError where another program wrote the checkpoint without them."""
        state = reader.state
        try:
            engine = EngineState(**cast("dict[str, int]", state["engine"]))
            order = OrderInputs.from_json(cast("dict[str, object]", state["order"]))
            return cls(samples=int(cast("int", state["samples"])), order=order, engine=engine)
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(
                f"{reader.folder} has weights but no training state; to start from its weights "
                "alone set finetune: true"
            ) from None


def agree(mesh: Mesh, decide: Callable[[], Value]) -> Value:
    """What rank 0 decides, on all ranks; its error, too."""
    if mesh.world_group is None:
        return decide()
    told: list[object] = [None, None]
    if mesh.is_first:
        try:
            told = [decide(), None]
        except Exception as error:
            told = [None, error]
    dist.broadcast_object_list(told, src=0, group=mesh.world_group)
    value, failure = told
    if isinstance(failure, Exception):
        raise failure
    return cast("Value", value)


def _chosen(root: Path, step: int | None) -> Path:
    return directory.latest(root) if step is None else directory.at_step(root, step)
