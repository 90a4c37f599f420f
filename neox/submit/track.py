"""What became of a run: asked of the scheduler, and read from the files its job leaves.

A scheduler that does not answer, or no longer knows a job, is a state too, and is said.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from neox.run.paths import RunPaths
from neox.submit.files import File, write_files
from neox.submit.manifest import read_manifest
from neox.submit.processes import this_host
from neox.submit.refusal import RunDirectoryError, SchedulerError
from neox.submit.runner import Runner
from neox.submit.schedulers import scheduler
from neox.submit.schedulers.local import Local
from neox.submit.schedulers.scheduler import JobState, JobStatus, Scheduler
from neox.submit.submissions import Submission, submissions

ASK_SECONDS = 30.0
PLAIN: Mapping[str, str] = MappingProxyType({"LC_ALL": "C"})  # no translated messages
TERM_SECONDS = 30.0  # a local job gets this long to end its ranks


@dataclass(frozen=True, kw_only=True)
class LinkStatus:
    """One submitted link, as far as anybody knows."""

    link: int
    job_id: str
    after: str | None
    submitted: str
    state: JobState
    reason: str  # plain words
    native: str  # the scheduler's own word, empty where it has none


def link_states(run: RunPaths, runner: Runner, kind: str) -> tuple[LinkStatus, ...]:
    """The state of every submitted link, oldest first. Never raises for a silent scheduler."""
    jobs = submissions(run)
    if not jobs:
        return ()
    dialect = scheduler(kind)
    known = _local(jobs) if isinstance(dialect, Local) else _asked(jobs, runner, dialect)
    return tuple(
        LinkStatus(
            link=job.link,
            job_id=job.job_id,
            after=job.after,
            submitted=job.time,
            state=status.state,
            reason=status.reason,
            native=status.native,
        )
        for job, status in zip(jobs, known, strict=True)
    )


def live_jobs(run: RunPaths, runner: Runner, kind: str) -> tuple[Submission, ...]:
    """Submissions that wait or run, in order.

    Raises SchedulerError when that cannot be known: a second job must not start on a guess.
    """
    states = link_states(run, runner, kind)
    unknown = [state for state in states if state.state == "unknown"]
    if unknown:
        raise SchedulerError(
            f"job {unknown[0].job_id}: {unknown[0].reason}; whether it still lives is not known, "
            "so nothing is done; try again when the scheduler answers"
        )
    alive = {s.job_id for s in states if s.state != "ended"}
    return tuple(job for job in submissions(run) if job.job_id in alive)


def stop(run: RunPaths) -> None:
    """Ask the running link to save and leave, and let no other start."""
    kept = read_manifest(run)  # a folder that is no run gets no state files
    why = f"neox-submit stop, asked by {kept.request.user}"
    # halt first: the link that ends must not be followed by the one that waits for it
    write_files(run.state, {run.halt.name: File(f"{why}\n")})
    write_files(run.state, {run.stop.name: File("")})


def cancel(run: RunPaths, runner: Runner) -> tuple[Submission, ...]:
    """End the running link now and take the waiting ones out of the queue, last link first."""
    manifest = read_manifest(run)
    kind = manifest.site.scheduler.kind
    why = f"neox-submit cancel, asked by {manifest.request.user}"
    write_files(run.state, {run.halt.name: File(f"{why}\n")})
    live = live_jobs(run, runner, kind)
    for job in reversed(live):
        _cancel_one(job, runner, kind)
    return tuple(reversed(live))


def _cancel_one(job: Submission, runner: Runner, kind: str) -> None:
    dialect = scheduler(kind)
    if isinstance(dialect, Local):
        _end_process(job)
        return
    argv = dialect.cancel_argv(job.job_id)
    answer = runner.run(argv, timeout=ASK_SECONDS, extra=PLAIN)
    if answer.code != 0 and not dialect.forgot(answer.stderr):
        raise SchedulerError(f"{argv[0]} {job.job_id}: {answer.complaint}; {_halted()}")


def _end_process(job: Submission) -> None:
    process = job.running_process()
    if process is not None:
        process.signal(signal.SIGTERM)
        if not process.wait(TERM_SECONDS):
            process.signal(signal.SIGKILL, group=True)


def _halted() -> str:
    return "the run is halted all the same: no link starts training"


def _local(jobs: tuple[Submission, ...]) -> list[JobStatus]:
    by_id = {job.job_id: job for job in jobs}
    return [_local_status(job, by_id.get(job.after or "")) for job in jobs]


def _local_status(job: Submission, before: Submission | None) -> JobStatus:
    """A job without a scheduler is a process, and only its own machine can see it."""
    state: JobState
    if job.hostname != this_host():
        state, reason = "unknown", f"it is a process of {job.hostname}; ask there"
    elif not _runs(job):
        state, reason = "ended", "ended"
    elif before is not None and _runs(before):
        state, reason = "pending", "waits for the job before it"
    else:
        state, reason = "running", "runs"
    return JobStatus(id=job.job_id, state=state, reason=reason, native="")


def _runs(job: Submission) -> bool:
    process = job.running_process()
    return process is not None and process.alive


def _asked(jobs: tuple[Submission, ...], runner: Runner, dialect: Scheduler) -> list[JobStatus]:
    """Ask for live jobs first, then the history for those it did not name.

    What lives, the first question decides: a history that is switched off or does not answer costs
    only the words about how a job ended.
    """
    ids = tuple(job.job_id for job in jobs)
    found, silent = _ask(runner, dialect.status_argv(ids), dialect)
    left = tuple(i for i in ids if i not in found)
    history = dialect.history_argv(left) if left else None
    no_history = None
    if history is not None:
        ended, no_history = _ask(runner, history, dialect)
        found = {**ended, **found}
    return [found[i] if i in found else _vanished(i, silent, no_history) for i in ids]


def _ask(
    runner: Runner, argv: tuple[str, ...], dialect: Scheduler
) -> tuple[dict[str, JobStatus], str | None]:
    """What the scheduler says of the jobs, and why it says nothing where it does not answer."""
    try:
        answer = runner.run(argv, timeout=ASK_SECONDS, extra=PLAIN)
    except SchedulerError as error:
        return {}, str(error)
    found = {status.id: status for status in dialect.parse_status(answer.stdout)}
    if answer.code != 0 and not dialect.forgot(answer.stderr):
        return found, f"{argv[0]} failed: {answer.complaint}"
    return found, None


def _vanished(job_id: str, silent: str | None, no_history: str | None) -> JobStatus:
    """A job that neither question named."""
    if silent is not None:
        return JobStatus(id=job_id, state="unknown", reason=silent, native="")
    text = "the scheduler no longer knows it: it ended some time ago, or no queue took it"
    if no_history is not None:
        text = f"the scheduler no longer knows it, and its history does not say more: {no_history}"
    return JobStatus(id=job_id, state="ended", reason=text, native="")


def find_job(run: RunPaths, job_id: str | None = None) -> Submission:
    """The submission with this job id, else the newest. Raises RunDirectoryError."""
    jobs = submissions(run)
    if not jobs:
        raise RunDirectoryError(
            f"{run.root}: no job of this run was submitted; neox-submit submit {run.root}"
        )
    return next((job for job in jobs if job.job_id == job_id), jobs[-1])
