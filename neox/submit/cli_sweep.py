"""`neox-submit ... --sweep KEY=V1,V2`: plan every run, refuse or write all, ask once, submit."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from neox.run.exit_codes import ExitCode
from neox.submit.agreeing import check_up_to, spending
from neox.submit.array import SCRIPT_NAME, array_script
from neox.submit.cli_args import RunArguments
from neox.submit.cli_output import columns, print_json
from neox.submit.cli_run import agreed, asks, request_of, say_submitted
from neox.submit.edge import Surroundings
from neox.submit.manifest import summary
from neox.submit.preparing import Prepared, prepare
from neox.submit.refusal import Refusal, SchedulerError, UsageError, is_for_a_person
from neox.submit.run_area import run_root
from neox.submit.runner import Runner
from neox.submit.submissions import Submission
from neox.submit.submitting import Submitter, submit, submit_array
from neox.submit.sweep import Variant, counted, variants, write_sweep

WITH_VALUE = ("--sweep", "--name", "-o", "--output")  # said anew for each run
ALONE = ("--sweep-zip",)


def plan_and_submit_sweep(
    given: RunArguments, argv: tuple[str, ...], around: Surroundings, runner: Runner
) -> int:
    """The flow of one run, for all of them; returns the exit code."""
    _check_combination(given)
    folder = run_root(request_of(given, argv, around))
    named = variants(given.sweep, zipped=given.sweep_zip)
    wanted = sorted(named, key=lambda variant: counted(folder / variant.name))
    runs = _prepared(given, argv, around, folder, wanted)
    array = array_script(folder, [each.plan for each in runs]) if given.array else None
    if given.dry_run:
        return _say(given, folder, wanted, runs, written=False)
    spent = spending(tuple(prepared.plan for prepared in runs))
    if given.yes:
        check_up_to(spent, given.up_to, asks=asks(given, around))
    write_sweep(folder, runs, array)
    if not given.json:
        _say(given, folder, wanted, runs, written=True)
    refusal = runs[0].plan.refusal
    if refusal is None and agreed(given, f"Submit {len(runs)} runs", spent, around):
        return _submit(given, folder, runs, Submitter(runner=runner, around=around))
    if given.json:
        _say(given, folder, wanted, runs, written=True)
    if refusal is not None:
        raise SchedulerError(refusal)
    if not given.json:
        print(f"not submitted; to submit all of them: neox-submit submit {folder}")
    return ExitCode.DONE


def _check_combination(given: RunArguments) -> None:
    for name, on in (("--print", given.print_only), ("--here", given.here)):
        if on:
            raise UsageError(f"{name} is for one run, and --sweep makes several: give one of them")
    if given.existing != "refuse":
        raise UsageError(
            f"--{given.existing} is for one run; give the sweep another --name, or go on with one "
            "of its runs"
        )


def _prepared(
    given: RunArguments,
    argv: tuple[str, ...],
    around: Surroundings,
    folder: Path,
    wanted: Sequence[Variant],
) -> tuple[Prepared, ...]:
    """A plan for each, or one error with what is wrong with every one of them."""
    runs, wrong = [], []
    for variant in wanted:
        single = dataclasses.replace(
            given,
            name=variant.name,
            output=folder,
            overrides=(*given.overrides, *variant.overrides),
        )
        try:
            typed = _argv_of(argv, folder, variant)
            runs.append(prepare(request_of(single, typed, around), around))
        except Exception as error:
            if not is_for_a_person(error):
                raise
            wrong.append(f"{variant.name}: {error}")
    if wrong:
        raise SweepError("\n".join([*wrong, f"{len(wrong)} of {len(wanted)} runs; none written"]))
    return tuple(runs)


class SweepError(Refusal):
    """Some runs of a sweep cannot be planned, so none is."""

    code = ExitCode.CONFIG


def _argv_of(argv: Sequence[str], folder: Path, variant: Variant) -> tuple[str, ...]:
    """The command that would make this run alone."""
    words: list[str] = []
    skipped = False
    for word in argv:
        if skipped or word in ALONE:
            skipped = False
        elif word in WITH_VALUE:
            skipped = True
        elif word.partition("=")[0] not in WITH_VALUE:
            words.append(word)
    return (*words, *variant.overrides, "--name", variant.name, "-o", str(folder))


def _say(
    given: RunArguments,
    folder: Path,
    wanted: Sequence[Variant],
    runs: Sequence[Prepared],
    *,
    written: bool,
) -> int:
    if given.json:
        _print_json(folder, runs, (), written=written)
        return ExitCode.DONE
    print("\n".join(_table(folder, wanted, runs)))
    print(f"written: {folder}/RUN/review.html" if written else "dry run: nothing was written")
    if written and given.array:
        print(f"written: {folder}/{SCRIPT_NAME}, one submission for all")
    return ExitCode.DONE


def _table(folder: Path, wanted: Sequence[Variant], runs: Sequence[Prepared]) -> Iterator[str]:
    """What each run is, what all cost, and what is to be heeded, each said once."""
    plans = [prepared.plan for prepared in runs]
    yield f"{folder.name}: {len(plans)} runs on {plans[0].site.title}"
    yield ""
    rows = [("run", "nodes", "ranks", "cost", "warnings", "values")]
    for variant, plan in zip(wanted, plans, strict=True):
        cost = f"{plan.cost.amount * plan.chain:,.4g}"
        values = " ".join(variant.overrides)
        counts = (f"{plan.nodes}", f"{plan.ranks}", cost, f"{len(plan.warnings)}")
        rows.append((plan.run.name, *counts, values))
    yield from columns(rows)
    yield ""
    total = sum(plan.cost.amount * plan.chain for plan in plans)
    yield f"cost: {total:,.4g} {plans[0].cost.unit} together"
    for note in dict.fromkeys(note for plan in plans for note in plan.warnings):
        yield f"warning: {note}"
    for note in dict.fromkeys(note for plan in plans for note in plan.questions):
        yield f"asks you: {note}"


def _submit(
    given: RunArguments, folder: Path, runs: Sequence[Prepared], submitter: Submitter
) -> int:
    done: list[tuple[str, tuple[Submission, ...]]] = []
    if given.array:
        jobs = submit_array(folder, runs, submitter)
        done = [(each.plan.run.name, (job,)) for each, job in zip(runs, jobs, strict=True)]
        if not given.json:
            say_array(runs, jobs)
    for prepared in () if given.array else runs:
        try:
            jobs = submit(prepared, submitter, links=prepared.plan.chain, accept_edited=False)
        except SchedulerError as error:
            raise SchedulerError(
                f"{prepared.plan.run.name}: {error}\n{len(done)} of {len(runs)} runs were "
                f"submitted; the others, when it is mended: neox-submit submit {folder}"
            ) from None
        done.append((prepared.plan.run.name, jobs))
        if not given.json:
            print(f"{prepared.plan.run.name}: ", end="")
            say_submitted(jobs)
    if given.json:
        _print_json(folder, runs, done, written=True)
    else:
        print(f"look at it: neox-submit status {folder}")
    return ExitCode.DONE


def say_array(runs: Sequence[Prepared], jobs: Sequence[Submission]) -> None:
    for prepared, job in zip(runs, jobs, strict=True):
        print(f"{prepared.plan.run.name}: submitted link {job.link} as job {job.job_id}")


def _print_json(
    folder: Path,
    runs: Sequence[Prepared],
    done: Sequence[tuple[str, tuple[Submission, ...]]],
    *,
    written: bool,
) -> None:
    submitted = [
        {"run": name, "link": job.link, "job": job.job_id} for name, jobs in done for job in jobs
    ]
    plans = [summary(prepared.plan) for prepared in runs]
    print_json({"sweep": str(folder), "runs": plans, "written": written, "submitted": submitted})
