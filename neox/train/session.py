"""One job's part of a run, put together from the config: what the loop drives."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from neox.config.kernel_rules import fp8_switches
from neox.config.places import ConfigErrors, problem_at
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.data import run_order
from neox.data.batch import Batch
from neox.data.loader import Geometry
from neox.data.samples import Samples
from neox.data.tokenizers import load_tokenizer
from neox.models.count import flops_per_token
from neox.models.init import initialise
from neox.models.layers import compute_in_fp8
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from neox.monitor.event_log import Events
from neox.monitor.gpu_profile import recorder
from neox.monitor.log import StepLog
from neox.monitor.profile import StepProfiler
from neox.monitor.record import EvaluationRecord, Monitor
from neox.objectives.language import CausalLanguageModel
from neox.ops.fp8 import CAPABILITY
from neox.parallel.mesh import Mesh
from neox.run.events import EventLog
from neox.run.heartbeat import Heartbeat
from neox.run.paths import RunPaths
from neox.run.rank import ProfiledSteps
from neox.run.stop import StopWatch
from neox.train import corpus, settings
from neox.train.engine import DeepSpeedEngine
from neox.train.forward import Trainee
from neox.train.ledger import BAD_STEPS_IN_A_ROW, OVERFLOWS_IN_A_ROW
from neox.train.native import NativeEngine
from neox.train.resume import Start, agree, begin, find_origin
from neox.train.saving import Saver, about, save_rule
from neox.train.schedules import Schedule
from neox.train.step import Engine, EvaluationResult


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where this process runs, and what it was asked."""

    config: RunConfig
    config_texts: dict[str, str]  # file name -> text, kept in every checkpoint
    paths: RunPaths
    mesh: Mesh
    job_id: str
    profile: ProfiledSteps | None = None  # what --profile asked of this rank


def spec_for(config: RunConfig) -> ModelSpec:
    """The model, its vocabulary from the tokenizer's file where the config does not say it."""
    if config.tokenizer.padded_vocab_size is not None:
        return model_spec(config)
    section = config.tokenizer
    tokenizer = load_tokenizer(section.tokenizer_type, section.vocab_file, section.merge_file)
    return model_spec(config, tokenizer.vocab_size)


def build_model(config: RunConfig, spec: ModelSpec, device: torch.device) -> Transformer:
    model = Transformer(spec, recompute=settings.recompute_layers(config))
    initialise(model, spec, config.training.seed)
    in_fp8 = settings.fp8_layers(config)
    if in_fp8 and device.type == "cuda":
        _require_fp8(config, device)
    compute_in_fp8(model, in_fp8, settings.fp8_recipe(config))
    return model


def _require_fp8(config: RunConfig, device: torch.device) -> None:
    found = torch.cuda.get_device_capability(device)
    if torch.version.hip is not None or found < CAPABILITY:
        name = torch.cuda.get_device_name(device)
        message = f"{name} multiplies no fp8; leave out {', '.join(fp8_switches(config))}"
        raise ConfigErrors([problem_at(None, message)])


def build_engine(config: RunConfig, spec: ModelSpec, mesh: Mesh) -> Engine:
    trainee = Trainee(build_model(config, spec, mesh.device), CausalLanguageModel())
    optimizer, precision = settings.optimizer_spec(config), settings.precision(config)
    if settings.is_native(config, mesh.world_size):
        return NativeEngine(
            trainee,
            mesh,
            optimizer=optimizer,
            precision=precision,
            loss_scale=settings.loss_scale_spec(config),
        )
    cut = settings.geometry(config, mesh)
    return DeepSpeedEngine(
        trainee,
        mesh,
        optimizer=optimizer,
        precision=precision,
        zero=settings.zero_spec(config),
        micro_batch=cut.micro_batch,
        accumulation=cut.accumulation,
        loss_scale=settings.loss_scale_spec(config),
    )


class Session:
    """Everything of a training job between its start and its end; see `neox.train.loop.Run`."""

    engine: Engine
    batches: Iterator[list[Batch]]
    schedule: Schedule

    def __init__(self, job: Job) -> None:
        config, mesh = job.config, job.mesh
        assert config.training.train_iters is not None
        self._job = job
        self._geometry = settings.geometry(config, mesh)
        self._watch = StopWatch(job.paths.stop, first=mesh.is_first)
        self._heart = Heartbeat(job.paths.heartbeat, first=mesh.is_first)
        self._save_rule = save_rule(config)
        self.spec = spec_for(config)
        self.total_steps = config.training.train_iters
        self.tokens_per_step = self._geometry.step_samples * (config.model.seq_length or 0)
        self.schedule = settings.schedule(config)
        self.bad_steps_allowed = (
            OVERFLOWS_IN_A_ROW if config.precision.precision == "fp16" else BAD_STEPS_IN_A_ROW
        )
        # rank 0 first: it makes the index maps, the others find them
        agree(mesh, self._make_maps)
        self._training, self._validation = self._orders()
        self.engine = build_engine(config, self.spec, mesh)
        self.checkpoints = checkpoint_root(config, job.paths)
        self._saver = Saver(
            self.checkpoints,
            self.engine,
            mesh,
            job_id=job.job_id,
            about=about(self.spec, config, job.config_texts, mesh, self.engine),
            keep=config.checkpoint.keep_last_n_checkpoints,
        )
        origin = agree(mesh, lambda: find_origin(config, self.checkpoints))
        self.start: Start = begin(self.engine, origin, self._training.inputs)
        self._loader = corpus.training_loader(
            config,
            self._training,
            self._geometry,
            mesh,
            start=self.start.samples,
            vocab_size=self.spec.vocab_size,
        )
        self.batches = self._loader
        self.monitors: list[Monitor] = []
        self._profilers: list[StepProfiler] = []
        self.events: EventLog | None = None

    def _orders(self) -> tuple[Samples, Samples | None]:
        config = self._job.config
        validation = run_order.validation_order(config) if config.training.eval_iters else None
        return run_order.training_order(config), validation

    def _make_maps(self) -> None:
        self._orders()

    def watch(self, say: Callable[[str], None]) -> None:
        """Start the logs, which rank 0 alone has, and the profilers."""
        self._profilers += self._made_profilers(say)
        if not self._job.mesh.is_first:
            return
        config = self._job.config
        self.events = EventLog(self._job.paths.events)
        self.monitors.append(
            StepLog(
                total_steps=self.total_steps,
                interval=config.logging.log_interval,
                ranks=self._job.mesh.world_size,
                flops=flops_per_token(self.spec, config.model.seq_length or 0),
                say=say,
            )
        )
        self.monitors.append(Events(self.events))
        board = _tensorboard(config, self._job.paths, self.start.step, say)
        self.monitors.extend(board)

    def _made_profilers(self, say: Callable[[str], None]) -> Iterator[StepProfiler]:
        """What --profile asked of this rank, and the config of rank 0."""
        logging, wanted = self._job.config.logging, self._job.profile
        config = (logging.profile_step_start, logging.profile_step_stop)
        asked = [(wanted.recorder, (wanted.first, wanted.last))] if wanted else []
        if self._job.mesh.is_first:
            asked += [("torch", config)] if logging.profile else []
            asked += [("memory", config)] if logging.memory_profiling else []
        for name, (first, last) in dict(reversed(asked)).items():  # --profile beats the config
            yield StepProfiler(
                recorder(name, say),
                self._job.paths.profiles,
                f"{self._job.job_id}.rank-{self._job.mesh.rank}",
                first=first,
                last=last,
                say=say,
            )

    def close(self) -> None:
        for profiler in self._profilers:
            profiler.close()
        self._loader.close()
        for monitor in self.monitors:
            monitor.close()

    def wait_for_save(self) -> None:
        self._heart.beat("save", self._saver.last_step or 0)
        self._saver.wait()

    # --- what the loop asks

    def stop_asked(self) -> bool:
        return self._watch.asked()

    def prepare_step(self, step: int) -> None:
        """Dropout depends on seed, step and data rank alone, so a resumed run repeats it."""
        for profiler in self._profilers:
            profiler.before(step + 1)
        if self.spec.hidden_dropout or self.spec.attention_dropout:
            words = (self._job.config.training.seed, step, self._job.mesh.data_rank)
            digest = hashlib.sha256(repr(words).encode()).digest()
            torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def after_step(self, step: int) -> None:
        self._heart.beat("step", step)

    def saves_at(self, step: int) -> bool:
        return step == self.total_steps or self._save_rule.saves_at(step)

    def evaluates_at(self, step: int) -> bool:
        training = self._job.config.training
        if not training.eval_iters:
            return False
        return step == self.total_steps or step % training.eval_interval == 0

    def exits_at(self, step: int) -> bool:
        interval = self._job.config.training.exit_interval
        return interval is not None and step % interval == 0

    def save(self, step: int) -> None:
        self._heart.beat("save", step)
        path = self._saver.save(step, self._loader.position, self._training.inputs)
        for monitor in self.monitors:
            monitor.on_save(step, str(path))

    def evaluate(self, step: int) -> bool:
        assert self._validation is not None
        interval = self._job.config.training.eval_interval
        self._heart.beat("evaluate", step)
        began = time.perf_counter()
        result = evaluate_round(
            self.engine,
            self._validation,
            self._geometry,
            job=self._job,
            round_number=(step - 1) // interval,
            vocab_size=self.spec.vocab_size,
            stop=self._watch.asked,
            alive=lambda: self._heart.beat("evaluate", step),
        )
        if result is None:
            return True
        record = EvaluationRecord(
            step=step, part="valid", loss=result, seconds=time.perf_counter() - began
        )
        for monitor in self.monitors:
            monitor.on_evaluation(record)
        return False


class Evaluator(Protocol):
    """An engine, or its forward half."""

    def evaluate(self, batches: Iterable[Batch], *, stop: bool = False) -> EvaluationResult: ...


def evaluate_round(
    engine: Evaluator,
    samples: Samples,
    geometry: Geometry,
    *,
    job: Job,
    round_number: int,
    vocab_size: int,
    stop: Callable[[], bool],
    alive: Callable[[], None],
) -> float | None:
    """Mean loss of one evaluation; None when some rank was asked to stop before its end."""
    total, weight = 0.0, 0.0
    with corpus.evaluation_loader(
        job.config, samples, geometry, round_number=round_number, vocab_size=vocab_size
    ) as loader:
        for batches in loader:
            part = engine.evaluate(batches, stop=stop())
            total += part.loss * part.weight
            weight += part.weight
            alive()
            if part.stop:
                return None
    return total / weight


def checkpoint_root(config: RunConfig, paths: RunPaths) -> Path:
    return Path(config.checkpoint.save) if config.checkpoint.save else paths.checkpoints


def _tensorboard(
    config: RunConfig, paths: RunPaths, first_step: int, say: Callable[[str], None]
) -> list[Monitor]:
    folder = config.logging.tensorboard_dir
    try:
        from neox.monitor.tensorboard import TensorBoard  # noqa: PLC0415 - a second to import
    except ImportError:
        say("TensorBoard is not installed: no event files (pip install tensorboard)")
        return []
    return [TensorBoard(Path(folder) if folder else paths.tensorboard, first_step=first_step)]
