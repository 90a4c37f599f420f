"""`--dependency`: the first link of what was typed waits for other jobs, on every scheduler."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.submit.cli_args import parse_run
from neox.submit.cli_run import _check_combination
from neox.submit.dependency import waits_for
from neox.submit.problem import Problem
from neox.submit.record import write_run
from neox.submit.refusal import UsageError
from neox.submit.review import figures
from neox.submit.run_files import prepare_again
from neox.submit.submissions import submissions
from neox.submit.submitting import Submitter, submit
from tests.submit.askings import ask, plan, refused, site
from tests.submit.fake_runner import FakeRunner, says, sbatch
from tests.submit.runs import around, prepared, written

GONE = says("", 1, "slurm_load_jobs error: Invalid job id specified")


def submitter(folder: Path, runner: FakeRunner) -> Submitter:
    return Submitter(runner=runner, around=around(folder))


def test_only_the_first_link_waits_for_them(tmp_path: Path) -> None:
    run = written(tmp_path, "--dependency", "7,8", "--dependency", "9")
    runner = FakeRunner({"sbatch": sbatch()})
    submit(prepare_again(run), submitter(tmp_path, runner), links=2, accept_edited=False)
    waits = [argv[2] for argv in runner.asked]
    assert waits == ["--dependency=afterany:7:8:9", "--dependency=afterany:101"]
    assert [job.after for job in submissions(run)] == ["7,8,9", "101"]


def test_a_later_submission_does_not_wait_again_but_a_newly_typed_one_does(tmp_path: Path) -> None:
    run = written(tmp_path, "--dependency", "7")
    runner = FakeRunner({"sbatch": sbatch(), "squeue": GONE, "sacct": says("101|TIMEOUT|None\n")})
    submit(prepare_again(run), submitter(tmp_path, runner), links=1, accept_edited=False)
    submit(prepare_again(run), submitter(tmp_path, runner), links=1, accept_edited=False)
    write_run(prepared(tmp_path, "--dependency", "55"), "continue")
    submit(prepare_again(run), submitter(tmp_path, runner), links=1, accept_edited=False)
    submitted = [argv[2] for argv in runner.asked if argv[0] == "sbatch"]
    assert submitted[0] == "--dependency=afterany:7"
    assert submitted[1].endswith("links/2/job.sh")
    assert submitted[2] == "--dependency=afterany:55"


@pytest.mark.parametrize(
    ("kind", "typed", "ids"),
    [
        ("slurm", ("12", "12", "13_4"), ("12", "13_4")),
        ("lsf", ("12",), ("12",)),
        ("pbs", ("12.pbs01", "13"), ("12", "13")),
        ("flux", ("f2g", "98"), ("97", "98")),
    ],
)
def test_ids_in_every_schedulers_own_form(
    kind: str, typed: tuple[str, ...], ids: tuple[str, ...]
) -> None:
    slurm = site("slurm")
    there = replace(slurm, scheduler=replace(slurm.scheduler, kind=kind))
    request = replace(ask("slurm", "pythia/14M"), dependencies=typed)
    assert waits_for(there, request) == ids
    odd = waits_for(there, replace(request, dependencies=("7;rm -rf",)))
    assert isinstance(odd, Problem)
    assert odd.text.startswith("dependency: '7;rm -rf' is no job id")


def test_without_a_scheduler_nothing_can_be_waited_for() -> None:
    said = refused(ask("local", "pythia/14M"), dependencies=("7",))
    assert "local has no scheduler to wait for jobs; leave --dependency out" in said


def test_the_review_says_so() -> None:
    lines = dict(figures(plan(ask("slurm", "pythia/14M"), dependencies=("7", "8"))))["chain"]
    assert lines[0] == "the first link starts when jobs 7, 8 ended, in any way"


@pytest.mark.parametrize("way", ["--here", "--array"])
def test_ways_that_cannot_wait(way: str) -> None:
    given = parse_run(["--site", "slurm", "x.yml", way, "--sweep", "lr=1,2", "--dependency", "7"])
    with pytest.raises(UsageError, match=f"{way} waits for no other job"):
        _check_combination(given)


def test_an_empty_id_is_a_slip() -> None:
    with pytest.raises(UsageError, match="is not JOBID or JOBID,JOBID"):
        parse_run(["x.yml", "--dependency", "7,"])
