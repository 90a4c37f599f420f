"""NeoX itself: a real session with its data path, logs and clipping, driven by its own loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.run_config import RunConfig
from neox.data.token_writer import TokenFileWriter
from neox.monitor.record import EvaluationRecord, StepRecord
from neox.run.paths import RunPaths
from neox.run.processes import join
from neox.run.rank import read_rank
from neox.train.loop import train
from neox.train.session import Job, Session
from neox.train.settings import is_native
from tests.bench.step.cases import Case

CONFIGS = Path(__file__).parents[3] / "configs"
WORDS, SUCCESSORS = 50_000, 32  # of the bench's corpus
CHAINS = 8_192  # that are drawn side by side


def write_corpus(prefix: Path, tokens: int) -> None:
    """Tokens of which each has 32 likely successors, some words more frequent than others.

    A model learns word by word what follows what, so the curve has no sudden step: where the loss
    halves within some tens of steps (frequencies that fall as 1 / rank), the same plain step is up
    to 2 % apart from itself, compiled and eager.
    """
    draw = np.random.default_rng(1)
    popular, likely = _falling(WORDS, 0.5), _falling(SUCCESSORS, 1.0)
    follows = np.searchsorted(popular, draw.random((WORDS, SUCCESSORS))).astype(np.uint16)
    here = np.searchsorted(popular, draw.random(CHAINS))
    chains = np.empty((tokens // CHAINS, CHAINS), np.uint16)
    for row in chains:
        here = row[:] = follows[here, np.searchsorted(likely, draw.random(CHAINS))]
    with TokenFileWriter(prefix, np.dtype(np.uint16)) as file:
        for document in np.array_split(chains.T.reshape(-1), max(1, tokens // 1_000)):
            file.add(document)


def _falling(words: int, power: float) -> NDArray[np.float64]:
    """The running sum of probabilities that fall as 1 / rank^power."""
    share: NDArray[np.float64] = np.cumsum(np.arange(1, words + 1) ** -power)
    return share / share[-1]


def resolved(case: Case, corpus: Path, more: Sequence[str] = ()) -> RunConfig:
    overrides = [*case.overrides, f"data_path={corpus}", "eval_iters=0", *more]
    return resolve(load((CONFIGS / f"{case.config}.yml",), overrides), 1)


class OurStep:
    """Windows of a training run; nothing is saved."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        native = is_native(config, 1)
        mesh = join(read_rank({}), torch.device("cuda", 0), alone_needs_group=not native)
        job = Job(
            config=config,
            config_texts={},
            paths=RunPaths(folder),
            mesh=mesh,
            job_id="bench",
        )
        self.session = Session(job)
        self.losses: list[float] = []
        self.said: list[str] = []
        self.session.watch(self.said.append)
        self.session.monitors.append(self)
        self.taken = 0

    def steps(self, count: int) -> None:
        """Some more steps; they are finished on the device when this returns."""
        train(_Window(self.session, self.taken + count), self.taken)
        self.taken += count

    def on_step(self, record: StepRecord) -> None:
        self.losses.append(record.loss)

    def on_evaluation(self, record: EvaluationRecord) -> None:
        raise AssertionError("this bench evaluates nothing")

    def on_save(self, step: int, path: str) -> None:
        raise AssertionError("this bench saves nothing")

    def close(self) -> None:
        pass


class _Window:
    """The session with another end, and without saving there."""

    def __init__(self, session: Session, total_steps: int) -> None:
        self._session = session
        self.engine, self.batches = session.engine, session.batches
        self.schedule = session.schedule
        self.total_steps = total_steps
        self.tokens_per_step = session.tokens_per_step
        self.monitors = session.monitors
        self.bad_steps_allowed = session.bad_steps_allowed
        self.stop_asked = session.stop_asked
        self.prepare_step = session.prepare_step
        self.after_step = session.after_step

    def saves_at(self, step: int) -> bool:
        return False

    evaluates_at = exits_at = saves_at

    def save(self, step: int) -> None:
        pass

    def evaluate(self, step: int) -> bool:
        return False
