"""`neox train RUN_YML` and `neox evaluate RUN_YML`: what every rank of a job runs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors, problem_at
from neox.config.run_config import RunConfig
from neox.config.spec import require_built
from neox.kernels.errors import KernelError
from neox.models.count import parameters
from neox.ops.on_gpu import use_gemms, use_library
from neox.run.exit_codes import INTERRUPTED, ExitCode
from neox.run.failure import BadNumbers, tell
from neox.run.paths import RunPaths, run_of
from neox.run.processes import choose_device, join, leave, use_threads
from neox.run.rank import RankEnvironment, read_rank
from neox.run.stop import write_done, write_saved
from neox.train.evaluation import held_out_losses
from neox.train.gemms import gemms_of
from neox.train.loop import train as run_loop
from neox.train.plan_text import plan_lines
from neox.train.session import Job, Session
from neox.train.settings import is_native, kernel_store


def train(argv: Sequence[str]) -> int:
    return _as_rank("train", argv, _train)


def evaluate(argv: Sequence[str]) -> int:
    return _as_rank("evaluate", argv, _evaluate)


def _train(job: Job) -> None:
    session = Session(job)
    session.watch(_say)
    if job.mesh.is_first:
        for line in plan_lines(job, session):
            _say(line)
    _event(
        session,
        "start",
        step=session.start.step,
        job=job.job_id,
        world_size=job.mesh.world_size,
        engine=session.engine.name,
        precision=job.config.precision.precision,
        parameters=parameters(session.spec).total,
    )
    try:
        ended = run_loop(session, session.start.step)
        session.wait_for_save()
        if not ended.finished:
            _event(session, "stop", step=ended.step, reason="asked to stop")
        if job.mesh.is_first:
            if ended.finished:
                write_done(job.paths, ended.step)
                _say(f"finished: step {ended.step:,} is saved in {session.checkpoints}")
            else:
                write_saved(job.paths, job.job_id, ended.step)
                _say(f"stopped: step {ended.step:,} is saved, the next link goes on from there")
        _event(session, "end", step=ended.step, done=ended.finished)
    except BadNumbers:
        session.wait_for_save()  # what was saved before the bad steps is sound
        raise
    finally:
        session.close()


def _evaluate(job: Job) -> None:
    for part, loss in held_out_losses(job):
        if job.mesh.is_first:
            _say(f"{part} loss {loss:.6f} nats per token")


def _event(session: Session, event: str, **fields: object) -> None:
    if session.events is not None:
        session.events.write(event, **fields)


def _say(line: str) -> None:
    print(line, flush=True)


def _as_rank(name: str, argv: Sequence[str], work: Callable[[Job], None]) -> int:
    """Run `work` as this rank; an error becomes one line, a code and state/failed.JOBID."""
    run_yml = _parser(name).parse_args(argv).run_yml
    paths: RunPaths | None = None
    number, job_id, world_size, node = 0, "by-hand", 1, None
    try:
        paths = _run_paths(run_yml)
        rank = read_rank(os.environ)
        number, job_id, world_size, node = rank.rank, rank.job_id, rank.world_size, rank.node
        work(_job(run_yml, paths, rank))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        code = tell(error, paths, number, job_id, node)
        if world_size > 1:  # a clean exit would wait for peers that wait for us
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code
    leave()
    return ExitCode.DONE


def _job(run_yml: Path, paths: RunPaths, rank: RankEnvironment) -> Job:
    given = load([run_yml])
    config = resolve(given, rank.world_size)
    require_built(config, f"{run_yml}: ")
    device = choose_device(rank)
    use_threads(rank)
    if device.type == "cuda":
        for line in _use_store(config, device):
            if rank.rank == 0:
                _say(line)
    mesh = join(rank, device, alone_needs_group=not is_native(config, rank.world_size))
    return Job(
        config=config,
        config_texts=dict(given.texts),
        paths=paths,
        mesh=mesh,
        job_id=rank.job_id,
        profile=rank.profile,
    )


def _use_store(config: RunConfig, device: torch.device) -> Iterator[str]:
    """Put what the store holds for this GPU under the model's operations; say what it is."""
    root = kernel_store(config, os.environ)
    try:
        yield f"kernels: {use_library(root, device)}"
    except KernelError as error:
        yield f"kernels: torch's own, which are slower: {error}"
    wanted = gemms_of(config)
    if not wanted:
        return
    try:
        tuned = use_gemms(root, device)
    except KernelError as error:
        yield f"GEMMs: as torch chooses them: {error}"
        return
    there = sum(one in tuned for one in wanted)
    more = "" if there == len(wanted) else "; `neox tune` with this config finds faster ones"
    yield f"GEMMs: {there} of {len(wanted)} tuned on a GPU of this kind{more}"


def _run_paths(run_yml: Path) -> RunPaths:
    """Raises ConfigErrors when it is no run.yml inside a run directory."""
    if run_yml.name != "run.yml" or not run_yml.is_file():
        message = (
            f"{run_yml} is no run.yml inside a run directory; "
            "`neox-submit --site local CONFIG...` writes one"
        )
        raise ConfigErrors([problem_at(None, message)])
    return run_of(run_yml)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"neox {name}")
    parser.add_argument("run_yml", type=Path, metavar="RUN_YML", help="RUN/run.yml")
    return parser
