"""`neox-submit --site SITE CONFIG...`: plan, write, review, ask, submit."""

from typing import TYPE_CHECKING

from neox.run.exit_codes import ExitCode
from neox.submit.agreeing import YES, Spending, agreed_twice, check_up_to, spending
from neox.submit.cli_args import RunArguments
from neox.submit.cli_output import print_json
from neox.submit.edge import Surroundings
from neox.submit.identify import this_site
from neox.submit.preparing import Prepared, prepare
from neox.submit.refusal import UsageError
from neox.submit.request import Request
from neox.submit.runner import Runner

if TYPE_CHECKING:
    from neox.submit.record import Written
    from neox.submit.submissions import Submission


def plan_and_submit(
    given: RunArguments, argv: tuple[str, ...], around: Surroundings, runner: Runner
) -> int:
    """The default flow; returns the exit code, and raises the errors of planning and writing."""
    _check_combination(given)
    if given.sweep:
        from neox.submit.cli_sweep import plan_and_submit_sweep  # noqa: PLC0415

        return plan_and_submit_sweep(given, argv, around, runner)
    prepared = prepare(request_of(given, argv, around), around)
    if given.chain == "auto":
        prepared = _chained(given, prepared)
    if given.print_only:
        return _print_script(prepared)
    if given.dry_run:
        return _say(given, prepared, written=False)
    return _write_and_submit(given, prepared, around, runner)


def _chained(given: RunArguments, prepared: Prepared) -> Prepared:
    from neox.submit.cli_chain import auto_chain  # noqa: PLC0415

    goes_on = given.existing == "continue"
    auto = auto_chain(prepared, given_step=given.seconds_per_step, goes_on=goes_on)
    if not (given.json or given.print_only):
        print(auto.table)
    return auto.prepared


def _write_and_submit(
    given: RunArguments, prepared: Prepared, around: Surroundings, runner: Runner
) -> int:
    from neox.submit.record import write_run  # noqa: PLC0415  (--print does without these)
    from neox.submit.submitting import Submitter, run_here, submit  # noqa: PLC0415

    spent = spending((prepared.plan,))
    if given.yes and not given.here:
        check_up_to(spent, given.up_to, asks=asks(given, around))
    written = write_run(prepared, given.existing)
    prepared = written.prepared
    submitter = Submitter(runner=runner, around=around)
    if given.here:
        _say(given, prepared, written=True)
        return run_here(prepared, submitter)
    refusal = prepared.plan.refusal
    if not given.json:
        _say(given, prepared, written=True)
    if refusal is not None or not agreed(given, "Submit", spent, around):
        return _stopped_after_writing(given, written, refusal)
    jobs = submit(prepared, submitter, links=prepared.plan.chain, accept_edited=False)
    return _submitted(given, prepared, jobs)


def request_of(given: RunArguments, argv: tuple[str, ...], around: Surroundings) -> Request:
    """What was typed, with the facts of the moment. Raises TimeError and UsageError."""
    from neox.sites.times import parse_time  # noqa: PLC0415

    return Request(
        site=given.site or this_site(around),
        job=given.job,
        configs=given.configs,
        overrides=given.overrides,
        nodes=given.nodes,
        spare_nodes=given.spare_nodes,
        seconds=parse_time(given.time, "neox") if given.time is not None else None,
        queue=given.queue,
        account=given.account,
        name=given.name,
        output=given.output,
        chain=None if given.chain == "auto" else given.chain,
        dependencies=given.dependencies,
        python=given.python,
        here=given.here,
        directives=given.directives,
        launch_args=given.launch_args,
        profile=given.profile,
        profile_ranks=given.profile_ranks,
        profile_steps=given.profile_steps,
        user=around.user,
        cwd=around.cwd,
        home=around.home,
        submit_python=around.python,
        machine_cores=around.cores,
        argv=argv,
    )


def _check_combination(given: RunArguments) -> None:
    if given.seconds_per_step is not None and given.chain != "auto":
        raise UsageError("--seconds-per-step is what --chain auto plans with: give both")
    if given.print_only and given.json:
        raise UsageError("--print prints the script and --json the plan: give one of them")
    if given.dependencies and (given.here or given.array):
        way = "--here" if given.here else "--array"
        raise UsageError(f"{way} waits for no other job: leave --dependency out")
    ways = [
        name
        for name, on in (
            ("--print", given.print_only),
            ("--dry-run", given.dry_run),
            ("--here", given.here),
        )
        if on
    ]
    if given.sweep_zip and not given.sweep:
        raise UsageError("--sweep-zip says how --sweep KEY=V1,V2 is meant: give that too")
    if given.array and not given.sweep:
        raise UsageError("--array is for the runs of --sweep KEY=V1,V2: give that too")
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} exclude each other: give one of them")


def _print_script(prepared: Prepared) -> int:
    from neox.submit.render import render_job  # noqa: PLC0415

    job, _ = render_job(prepared.plan, link=1)
    print(job, end="")
    return ExitCode.DONE


def _say(given: RunArguments, prepared: Prepared, *, written: bool) -> int:
    """The review, as text or as JSON."""
    if given.json:
        print_json({"plan": _summary(prepared), "written": written, "submitted": []})
    else:
        from neox.submit.review import review  # noqa: PLC0415

        print(review(prepared.plan) if written else _unwritten(review(prepared.plan)))
    return ExitCode.DONE


def _summary(prepared: Prepared) -> dict[str, object]:
    from neox.submit.manifest import summary  # noqa: PLC0415

    return summary(prepared.plan)


def _unwritten(review: str) -> str:
    """The review without the files it would name, because a dry run makes none."""
    return f"{review.partition('  written ')[0]}  dry run   nothing was written"


def asks(given: RunArguments, around: Surroundings) -> bool:
    """Whether there is a person who can be asked."""
    return around.interactive and not given.json


def agreed(given: RunArguments, what: str, spent: Spending, around: Surroundings) -> bool:
    """The person's answer, twice for what is dear; nobody there to ask means no."""
    if given.yes and not asks(given, around):
        return True  # what is dear was refused before anything was written
    if not given.yes:
        if not asks(given, around):
            return False
        if answer(f"{what} to {spent.site}? [y/N] ").strip().lower() not in YES:
            return False
    return agreed_twice(spent, given.up_to, answer)


def answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:  # Ctrl-D
        print()
        return ""


def _stopped_after_writing(given: RunArguments, written: "Written", refusal: str | None) -> int:
    run = written.prepared.plan.run.root
    if given.json:
        plan = _summary(written.prepared)
        print_json({"plan": plan, "written": True, "submitted": [], "refusal": refusal})
    elif refusal is None:
        print(f"not submitted; to submit it as it is: neox-submit submit {run}")
    if refusal is None:
        return ExitCode.DONE
    from neox.submit.refusal import SchedulerError  # noqa: PLC0415

    if not given.json:
        raise SchedulerError(refusal)
    return ExitCode.REFUSED


def _submitted(given: RunArguments, prepared: Prepared, jobs: "tuple[Submission, ...]") -> int:
    if given.json:
        submitted = [{"link": job.link, "job": job.job_id} for job in jobs]
        print_json({"plan": _summary(prepared), "written": True, "submitted": submitted})
        return ExitCode.DONE
    say_submitted(jobs)
    run = prepared.plan.run.root
    later = prepared.plan.chain_wanted - prepared.plan.chain
    if later > 0:
        print(f"{later} more links than the queue takes: neox-submit chain {run} --chain {later}")
    print(f"follow it:  neox-submit logs {run} --follow\nlook at it: neox-submit status {run}")
    return ExitCode.DONE


def say_submitted(jobs: "tuple[Submission, ...]") -> None:
    for job in jobs:
        after = f", after job {job.after}" if job.after else ""
        print(f"submitted link {job.link} as job {job.job_id}{after}")
