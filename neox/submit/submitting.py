"""Hands a reviewed run to its scheduler, link by link, each frozen before it is queued."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neox.run.bad_nodes import read_bad_nodes
from neox.run.paths import RunPaths
from neox.submit.array import SCRIPT_NAME, array_script
from neox.submit.edge import Surroundings
from neox.submit.files import SCRIPT, File, new_folder, read
from neox.submit.preparing import Prepared
from neox.submit.record import edited_files, next_link
from neox.submit.refusal import RunDirectoryError, SchedulerError
from neox.submit.request import excluded
from neox.submit.run_files import files_of
from neox.submit.runner import Runner
from neox.submit.schedulers import scheduler
from neox.submit.schedulers.local import Local
from neox.submit.schedulers.scheduler import Argv, Arrays, OutputError, Scheduler
from neox.submit.submissions import Submission, record
from neox.submit.track import live_jobs

if TYPE_CHECKING:
    from neox.submit.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """What submitting needs besides the run: the machine and the moment."""

    runner: Runner
    around: Surroundings


def submit(
    prepared: Prepared, submitter: Submitter, *, links: int, accept_edited: bool
) -> tuple[Submission, ...]:
    """Queue the next `links` links of a run that has no live job.

    Raises RunDirectoryError (edited, finished, or a job lives) and SchedulerError. Links that
    were queued before an error stay queued, and the message names them.
    """
    run = prepared.plan.run
    may_submit(prepared.plan)
    _check_unedited(run, accept_edited)
    live = live_jobs(run, submitter.runner, prepared.plan.site.scheduler.kind)
    if live:
        raise RunDirectoryError(
            f"{run.root}: job {live[-1].job_id} (link {live[-1].link}) of this run still waits or "
            f"runs; for more links after it: neox-submit chain {run.root}"
        )
    _check_chain(prepared.plan, links)
    for leftover in (run.halt, run.stop):  # from an earlier stop, cancel or failure
        _remove(leftover)
    return _queue(prepared, submitter, links, after=None)


def extend(
    prepared: Prepared, submitter: Submitter, *, links: int, accept_edited: bool
) -> tuple[Submission, ...]:
    """Queue more links behind the last live one."""
    run = prepared.plan.run
    may_submit(prepared.plan)
    _check_unedited(run, accept_edited)
    if run.halt.exists():
        raise RunDirectoryError(
            f"{run.root}: halted ({read(run.halt).strip() or 'no reason given'}): a link queued "
            f"now would end at once; when it is mended: neox-submit submit {run.root}"
        )
    live = live_jobs(run, submitter.runner, prepared.plan.site.scheduler.kind)
    _check_chain(prepared.plan, len(live) + links)
    return _queue(prepared, submitter, links, after=live[-1] if live else None)


def nodes_left_out(prepared: Prepared) -> tuple[str, ...]:
    """The run's bad nodes, with those that the person's own directive excludes."""
    bad = read_bad_nodes(prepared.plan.run.bad_nodes)
    return tuple(dict.fromkeys((*excluded(prepared.plan.request), *bad))) if bad else ()


def _without_bad_hosts(prepared: Prepared) -> Prepared:
    """Where hosts come from a file, the plan without the bad ones. Raises PlanError."""
    hosts = prepared.plan.request.hosts
    bad = read_bad_nodes(prepared.plan.run.bad_nodes)
    fit = tuple(host for host in hosts if host not in bad and host.partition(".")[0] not in bad)
    return prepared.again(hosts=fit) if fit != hosts else prepared


def submit_array(
    folder: Path, runs: Sequence[Prepared], submitter: Submitter
) -> tuple[Submission, ...]:
    """Queue the first links of all runs of a sweep, in the order of its script, or none of them."""
    dialect = scheduler(runs[0].plan.site.scheduler.kind)
    assert not isinstance(dialect, Local)
    assert isinstance(dialect, Arrays), "array_script has refused the others"
    for prepared in runs:
        may_submit(prepared.plan)
        _check_unedited(prepared.plan.run, accept_edited=False)
    script = folder / SCRIPT_NAME
    if read(script) != array_script(folder, [prepared.plan for prepared in runs]):
        raise RunDirectoryError(
            f"{script}: changed since neox-submit wrote it; put it back, or submit its runs one "
            "by one: neox-submit submit RUN"
        )
    frozen: list[RunPaths] = []
    try:
        frozen += (_freeze(prepared, 1) for prepared in runs)
        argv = dialect.array_argv(script, len(runs))
        answer = submitter.runner.run(argv)
        if answer.code != 0:
            raise SchedulerError(
                f"{argv[0]} refused the array: {answer.complaint}; nothing was submitted"
            )
    except (SchedulerError, RunDirectoryError):
        for link in frozen:
            shutil.rmtree(link.root, ignore_errors=True)
        raise
    job_id = _job_id(dialect, answer.stdout)
    jobs = [
        _submission(submitter, argv, link=1, job_id=dialect.element_id(job_id, index))
        for index in range(1, len(runs) + 1)
    ]
    for prepared, job in zip(runs, jobs, strict=True):
        record(prepared.plan.run, job)
    return tuple(jobs)


def run_here(prepared: Prepared, submitter: Submitter) -> int:
    """Run the next link in the foreground, inside the allocation this shell is in."""
    run = prepared.plan.run
    check_not_done(run)
    for leftover in (run.halt, run.stop):
        _remove(leftover)
    link = _freeze(_without_bad_hosts(prepared), next_link(run))
    return submitter.runner.stay(
        ("bash", str(link.job_script)), cwd=prepared.plan.request.cwd, inside=True
    )


def may_submit(plan: "Plan") -> None:
    """Refuse a retired site and a finished run."""
    if plan.refusal is not None:
        raise SchedulerError(plan.refusal)
    check_not_done(plan.run)


def check_not_done(run: RunPaths) -> None:
    if run.done.exists():
        raise RunDirectoryError(
            f"{run.root}: the run is finished ({run.done} is there). To train further, begin a "
            "run from its weights: --fresh with finetune=true and load="
            f"{run.checkpoints}"
        )


def _check_chain(plan: "Plan", links: int) -> None:
    most = plan.site.policy.max_chain
    if most is not None and links > most:
        raise RunDirectoryError(
            f"{plan.run.root}: {links} links would wait or run, and {plan.site.name} allows {most} "
            "(policy.max_chain); nothing was submitted"
        )


def _check_unedited(run: RunPaths, accept_edited: bool) -> None:
    edited = edited_files(run)
    if edited and not accept_edited:
        raise RunDirectoryError(
            f"{run.root}: {', '.join(edited)} changed since neox-submit wrote it; submit it as it "
            "is with --accept-edited, or write it again with --continue"
        )


def _queue(
    prepared: Prepared, submitter: Submitter, links: int, after: Submission | None
) -> tuple[Submission, ...]:
    run = prepared.plan.run
    prepared = _without_bad_hosts(prepared)
    done: list[Submission] = []
    for _ in range(links):
        number = next_link(run)
        link = _freeze(prepared, number)
        try:
            after = _queue_one(prepared, submitter, number, after)
        except SchedulerError as error:
            shutil.rmtree(link.root, ignore_errors=True)
            raise SchedulerError(f"{error}{_queued_before(done)}") from None
        record(run, after)
        done.append(after)
    return tuple(done)


def _queue_one(
    prepared: Prepared,
    submitter: Submitter,
    number: int,
    after: Submission | None,
) -> Submission:
    dialect = scheduler(prepared.plan.site.scheduler.kind)
    link = prepared.plan.run.link(number)
    waits_for = (after.job_id,) if after else _others(prepared, number)
    argv = dialect.submit_argv(link.job_script, waits_for, nodes_left_out(prepared))
    process = None
    if isinstance(dialect, Local):
        extra = {"NEOX_AFTER": after.process} if after and after.process else {}
        started = submitter.runner.detach(
            argv, cwd=prepared.plan.request.cwd, logs=prepared.plan.run.logs, extra=extra
        )
        job_id, process = str(started.pid), str(started)
    else:
        answer = submitter.runner.run(argv)
        if answer.code != 0:
            raise SchedulerError(f"{argv[0]} refused link {number}: {answer.complaint}")
        job_id = _job_id(dialect, answer.stdout)
    made = _submission(submitter, argv, link=number, job_id=job_id)
    return replace(made, after=",".join(waits_for) or None, process=process)


def _submission(submitter: Submitter, argv: Argv, *, link: int, job_id: str) -> Submission:
    return Submission(
        link=link,
        job_id=job_id,
        after=None,
        argv=argv,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        user=submitter.around.user,
        hostname=submitter.around.hostname,
    )


def _job_id(dialect: Scheduler, stdout: str) -> str:
    try:
        return dialect.parse_job_id(stdout)
    except OutputError as error:
        said = f"{error}: the job may be queued all the same; look, and cancel it if it is"
        raise SchedulerError(said) from None


def _others(prepared: Prepared, number: int) -> tuple[str, ...]:
    """The jobs of --dependency, for the first link of what was typed: later ones find them ended.

    Some schedulers refuse to wait for a job that ended long ago.
    """
    from neox.submit.manifest import read_manifest  # noqa: PLC0415

    typed_for = read_manifest(prepared.plan.run).link
    return prepared.plan.waits_for if number == typed_for else ()


def _freeze(prepared: Prepared, number: int) -> RunPaths:
    """Write links/NUMBER: what this link runs, whatever happens to the files above later."""
    run = prepared.plan.run
    files = {**files_of(prepared, number), **_edited(prepared, number)}
    link = run.link(number)
    if not new_folder(link.root, files):
        raise RunDirectoryError(
            f"{link.root}: somebody else is submitting this run just now; see neox-submit status "
            f"{run.root}"
        )
    return link


def _edited(prepared: Prepared, number: int) -> dict[str, File]:
    """The reviewed files that a person changed (and accepted), for link `number`."""
    run = prepared.plan.run
    names = edited_files(run)
    files = {n: File(read(run.root / n), SCRIPT) for n in names if n.endswith(".sh")}
    if "run.yml" in names:
        files["run.yml"] = File(read(run.run_config))
    if "job.sh" in files:
        files["job.sh"] = File(_for_link(prepared, files["job.sh"].text, number), SCRIPT)
    return files


def _for_link(prepared: Prepared, edited: str, number: int) -> str:
    """An edited job.sh with the lines that name its link as link `number` has them."""
    from neox.submit.manifest import read_manifest  # noqa: PLC0415
    from neox.submit.render import render  # noqa: PLC0415

    run = prepared.plan.run
    written_for = read_manifest(run).link
    if written_for == number:
        return edited
    before = render(prepared.plan, link=written_for).job.splitlines()
    after = render(prepared.plan, link=number).job.splitlines()
    changes = {old: new for old, new in zip(before, after, strict=True) if old != new}
    lines = edited.splitlines()
    missing = [old for old in changes if old not in lines]
    if missing:
        raise RunDirectoryError(
            f"{run.job_script}: the line {missing[0]!r} was edited, and it must name the link; "
            "put it back, or write the script again with --continue"
        )
    return "\n".join([*(changes.get(line, line) for line in lines), ""])


def _queued_before(done: Sequence[Submission]) -> str:
    if not done:
        return "; nothing was submitted"
    jobs = ", ".join(f"link {s.link} as job {s.job_id}" for s in done)
    return f"; {jobs} had been submitted before and stays queued"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be removed: {error.strerror}") from None
