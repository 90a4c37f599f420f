"""When a run saves, and the save itself."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neox.checkpoint.directory import step_folder
from neox.checkpoint.manifest import About
from neox.checkpoint.store import CheckpointWriter
from neox.config.run_config import RunConfig
from neox.data.order_inputs import OrderInputs
from neox.models.spec import ModelSpec
from neox.parallel.mesh import Mesh
from neox.train.resume import SavedState, agree
from neox.train.step import Engine


@dataclass(frozen=True, kw_only=True)
class SaveRule:
    """GPT-NeoX's rule: every `factor` steps, or at its powers, and at the `extra` steps."""

    scale: str
    factor: float | None
    extra: frozenset[int]

    def saves_at(self, step: int) -> bool:
        if step in self.extra:
            return True
        if not self.factor or step == 0:
            return False
        return step in self._powers(step) if self.scale == "log" else step % self.factor == 0

    def _powers(self, limit: int) -> set[int]:
        """GPT-NeoX starts at 1 and rounds down: 1, factor, factor^2, ..."""
        assert self.factor is not None and self.factor > 1
        powers, value = set(), 1.0
        while value <= limit:
            powers.add(int(value))
            value *= self.factor
        return powers


def save_rule(config: RunConfig) -> SaveRule:
    section = config.checkpoint
    return SaveRule(
        scale=section.checkpoint_scale,
        factor=section.checkpoint_factor,
        extra=frozenset(section.extra_save_iters or ()),
    )


class Saver:
    """One rank's end of the checkpoints of a run."""

    def __init__(
        self, root: Path, engine: Engine, mesh: Mesh, *, job_id: str, about: About, keep: int | None
    ) -> None:
        self.root = root
        self._engine = engine
        attempt = agree(mesh, lambda: f"{job_id}-{time.time_ns():x}")
        self._writer = CheckpointWriter(
            root,
            rank=mesh.rank,
            world_size=mesh.world_size,
            attempt=attempt,
            about=about,
            keep_last=keep,
        )
        self.last_step: int | None = None

    def save(self, step: int, samples: int, order: OrderInputs) -> Path:
        """Copy and write in the background. The caller has read the flags of the step."""
        state = SavedState(samples=samples, order=order, engine=self._engine.state())
        self._writer.save(step, self._engine.fragments(), state=state.to_json(), rank_state={})
        self._writer.publish()
        self.last_step = step
        return step_folder(self.root, step)

    def wait(self) -> None:
        """Until the last save is published; raises CheckpointError when it failed."""
        self._writer.wait()


def about(
    spec: ModelSpec, config: RunConfig, configs: Mapping[str, str], mesh: Mesh, engine: Engine
) -> About:
    """What a checkpoint says of its origin."""
    return About(
        model=dataclasses.asdict(spec),
        configs=configs,
        geometry={"data": mesh.data_size, "zero_stage": config.zero.zero_optimization.stage},
        versions={"engine": engine.name}
        | {name: _version(name) for name in ("neox", "torch", "deepspeed")},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
