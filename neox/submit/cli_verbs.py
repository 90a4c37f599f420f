"""Verbs on a run that exists: submit, chain, status, logs, stop, cancel, explain."""

import math
from dataclasses import replace
from pathlib import Path

from neox.run.exit_codes import ExitCode
from neox.run.paths import RunPaths
from neox.submit.cli_args import VerbArguments
from neox.submit.cli_output import print_json
from neox.submit.cli_run import answer, say_submitted
from neox.submit.edge import Surroundings
from neox.submit.manifest import read_manifest
from neox.submit.refusal import RunDirectoryError
from neox.submit.runner import Runner


def act_on_run(given: VerbArguments, around: Surroundings, runner: Runner) -> int:
    """Do what the verb says; returns the exit code."""
    if given.verb == "status" and given.run is None:
        return _status_of_all(given, around, runner)
    sweep = find_sweep(given, around)
    if sweep:
        return _act_on_sweep(sweep, given, around, runner)
    return _act(find_run(given, around), given, around, runner)


def _act(run: RunPaths, given: VerbArguments, around: Surroundings, runner: Runner) -> int:
    match given.verb:
        case "status":
            code = _status((run,), given, runner)
        case "logs":
            code = _logs(given, run, runner)
        case "stop":
            code = _stop(given, run)
        case "cancel":
            code = _cancel(given, run, runner)
        case "explain":
            code = _explain(run)
        case _:
            assert given.verb in ("submit", "chain"), given.verb
            code = _submit(given, run, around, runner)
    return code


def find_run(given: VerbArguments, around: Surroundings) -> RunPaths:
    """The run directory that was meant: a path, or a name in ./runs or in -o DIR."""
    assert given.run is not None
    typed = Path(given.run).expanduser()
    places = [around.cwd / typed, _folder(given, around) / typed]
    for place in places:
        if (place / "plan.json").is_file() and place.parent.name != "links":
            return RunPaths(place.resolve())
    raise RunDirectoryError(
        f"{given.run}: not a run directory (no plan.json in {' or '.join(map(str, places))}); "
        "give the folder that neox-submit wrote, or its name and -o DIR"
    )


def find_sweep(given: VerbArguments, around: Surroundings) -> tuple[RunPaths, ...]:
    """The runs of the sweep that was meant; none where it is a run, or nothing."""
    from neox.submit.sweep import runs_in  # noqa: PLC0415

    assert given.run is not None
    typed = Path(given.run).expanduser()
    for place in (around.cwd / typed, _folder(given, around) / typed):
        if (place / "plan.json").is_file():
            return ()
        runs = runs_in(place)
        if runs:
            return runs
    return ()


def _act_on_sweep(
    runs: tuple[RunPaths, ...], given: VerbArguments, around: Surroundings, runner: Runner
) -> int:
    if given.verb == "status":
        return _status(runs, given, runner, as_table=True)
    if given.verb not in ("submit", "stop", "cancel") or given.json:
        what = f"{given.verb} --json" if given.json else given.verb
        raise RunDirectoryError(
            f"{given.run}: a sweep of {len(runs)} runs, and {what} is for one of them, "
            f"{runs[0].root} for instance"
        )
    from neox.submit.array import SCRIPT_NAME  # noqa: PLC0415
    from neox.submit.submissions import submissions  # noqa: PLC0415

    if given.verb == "submit":
        _agree(given, tuple(run for run in runs if not submissions(run)), around)
        given = replace(given, up_to=math.inf)  # agreed to for all of them together
        if not any(map(submissions, runs)) and (runs[0].root.parent / SCRIPT_NAME).exists():
            return _submit_array(given, runs, around, runner)
    for run in runs:
        if given.verb == "submit" and submissions(run):
            print(f"{run.name}: was submitted before")
            continue
        if given.verb == "submit":
            print(f"{run.name}: ", end="", flush=True)
        _act(run, given, around, runner)
    return ExitCode.DONE


def _submit_array(
    given: VerbArguments, runs: tuple[RunPaths, ...], around: Surroundings, runner: Runner
) -> int:
    from neox.submit.cli_sweep import say_array  # noqa: PLC0415
    from neox.submit.run_files import prepare_again  # noqa: PLC0415
    from neox.submit.submitting import Submitter, submit_array  # noqa: PLC0415

    if given.chain or given.accept_edited:
        raise RunDirectoryError(
            f"{given.run}: is submitted as the array of jobs that was written; leave --chain and "
            "--accept-edited out, or submit its runs one by one"
        )
    prepared = tuple(prepare_again(run) for run in runs)
    submitter = Submitter(runner=runner, around=around)
    say_array(prepared, submit_array(runs[0].root.parent, prepared, submitter))
    return ExitCode.DONE


def _folder(given: VerbArguments, around: Surroundings) -> Path:
    return around.cwd / (given.output.expanduser() if given.output else "runs")


def _submit(given: VerbArguments, run: RunPaths, around: Surroundings, runner: Runner) -> int:
    from neox.submit.run_files import prepare_again  # noqa: PLC0415
    from neox.submit.submitting import Submitter, extend, submit  # noqa: PLC0415

    _agree(given, (run,), around)
    prepared = prepare_again(run)
    submitter = Submitter(runner=runner, around=around)
    links = given.chain or (prepared.plan.chain if given.verb == "submit" else 1)
    if given.verb == "submit":
        jobs = submit(prepared, submitter, links=links, accept_edited=given.accept_edited)
    else:
        jobs = extend(prepared, submitter, links=links, accept_edited=given.accept_edited)
    if given.json:
        submitted = [{"link": job.link, "job": job.job_id} for job in jobs]
        print_json({"run": str(run.root), "submitted": submitted})
    else:
        say_submitted(jobs)
    return ExitCode.DONE


def _agree(given: VerbArguments, runs: tuple[RunPaths, ...], around: Surroundings) -> None:
    """Whoever types `submit` has said yes once; what is dear is asked a second time."""
    from neox.submit.agreeing import DearError, agreed_twice, check_up_to, spending  # noqa: PLC0415
    from neox.submit.run_files import prepare_again  # noqa: PLC0415

    if not runs or given.up_to == math.inf:
        return
    plans = tuple(prepare_again(run).plan for run in runs)
    links = given.chain if given.verb == "submit" else given.chain or 1
    spent, asks = spending(plans, links), around.interactive and not given.json
    check_up_to(spent, given.up_to, asks=asks)
    if asks and not agreed_twice(spent, given.up_to, answer):
        raise DearError("not agreed to; nothing was submitted")


def _status(
    runs: tuple[RunPaths, ...], given: VerbArguments, runner: Runner, *, as_table: bool = False
) -> int:
    from neox.submit.status import show_status  # noqa: PLC0415

    return show_status(runs, runner, as_json=given.json, as_table=as_table)


def _logs(given: VerbArguments, run: RunPaths, runner: Runner) -> int:
    from neox.submit.logs import show_logs  # noqa: PLC0415

    return show_logs(run, runner, rank=given.rank, follow=given.follow)


def _status_of_all(given: VerbArguments, around: Surroundings, runner: Runner) -> int:
    folder = _folder(given, around)
    runs = tuple(RunPaths(path.parent.resolve()) for path in sorted(folder.glob("*/plan.json")))
    if not runs and not given.json:
        raise RunDirectoryError(f"{folder}: no runs here; give one, or where they lie with -o DIR")
    return _status(runs, given, runner)


def _stop(given: VerbArguments, run: RunPaths) -> int:
    from neox.submit.track import stop  # noqa: PLC0415

    stop(run)
    if given.json:
        print_json({"run": str(run.root), "stop": True})
    else:
        print(f"{run.name}: asked to save and leave; no further link starts")
    return ExitCode.DONE


def _cancel(given: VerbArguments, run: RunPaths, runner: Runner) -> int:
    from neox.submit.track import cancel  # noqa: PLC0415

    jobs = cancel(run, runner)
    if given.json:
        print_json({"run": str(run.root), "cancelled": [job.job_id for job in jobs]})
    elif jobs:
        print(f"{run.name}: cancelled {', '.join(f'job {job.job_id}' for job in jobs)}; halted")
    else:
        print(f"{run.name}: no job of it waits or runs; halted")
    return ExitCode.DONE


def _explain(run: RunPaths) -> int:
    from neox.submit.explain import explain  # noqa: PLC0415
    from neox.submit.render import render  # noqa: PLC0415
    from neox.submit.run_files import prepare_again  # noqa: PLC0415

    plan = prepare_again(run).plan
    link = read_manifest(run).link
    for line in explain(plan, render(plan, link=link)):
        print(line)
    return ExitCode.DONE
