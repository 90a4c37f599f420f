"""Slurm's dialect: what is asked of it, and what its answers mean."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.submit.schedulers.scheduler import OutputError
from neox.submit.schedulers.slurm import Slurm
from tests.submit.askings import ask, plan, site
from tests.submit.schedulers.answers import states

SLURM = Slurm()


def texts(**changes: object) -> list[str]:
    made = plan(ask("frontier"), nodes=12, **changes)
    return [directive.text for directive in made.directives]


def test_frontier_header_line_by_line() -> None:
    assert texts(seconds=7200) == [
        "--job-name=20B",
        "--account=abc123",
        "--partition=batch",
        "--nodes=12",
        "--exclusive",
        "--threads-per-core=1",
        "--time=2:00:00",
        "--no-requeue",
        "--signal=B:USR2@300",
        "--network=disable_rdzv_get",
        "--output=/lustre/here/runs/20B/logs/%j.out",
        "--open-mode=append",
    ]


def test_every_directive_says_where_it_comes_from() -> None:
    made = plan(ask("frontier"), nodes=12)
    origin = {directive.text: directive.origin.text for directive in made.directives}
    assert origin["--network=disable_rdzv_get"].startswith("sites/frontier.toml:")
    assert origin["--exclusive"].startswith("sites/slurm.toml:")
    assert origin["--nodes=12"] == "--nodes"
    assert origin["--time=1:00:00"].endswith("queues.batch.default_time")


def test_lumi_asks_for_whole_nodes_with_their_memory_and_gpus() -> None:
    lines = [d.text for d in plan(ask("lumi"), nodes=12).directives]
    assert {"--exclusive", "--mem=0", "--gpus-per-node=8", "--partition=standard-g"} <= set(lines)


def test_a_qos_names_its_partition_too() -> None:
    lines = texts(queue="debug")
    assert "--partition=batch" in lines
    assert "--qos=debug" in lines


def test_a_share_of_a_node_says_its_size() -> None:
    slurm = site("slurm")
    shared = replace(slurm, queues=(replace(slurm.queues[0], exclusive=False),))
    request = ask("slurm", "pythia/14M", overrides=("num_gpus=2",))
    lines = [d.text for d in plan(request, shared).directives]
    assert "--ntasks-per-node=2" in lines
    assert "--cpus-per-task=4" in lines
    assert "--exclusive" not in lines


def test_a_job_that_heeds_no_stop_is_not_signalled() -> None:
    made = plan(replace(ask("slurm", kind="prepare-data"), configs=()))
    assert not [d.text for d in made.directives if "--signal" in d.text]


def test_requeue_only_where_the_profile_says_so() -> None:
    profile = replace(site("frontier"), requeue=True)
    lines = [d.text for d in plan(ask("frontier"), profile, nodes=12).directives]
    assert "--requeue" in lines
    assert "--no-requeue" not in lines


def test_a_persons_directives_come_last() -> None:
    assert texts(directives=("comment=x", "hold"))[-2:] == ["--comment=x", "--hold"]


def test_commands() -> None:
    script = Path("/r/links/1/job.sh")
    assert SLURM.submit_argv(script) == ("sbatch", "--parsable", "/r/links/1/job.sh")
    assert SLURM.submit_argv(script, after=("7", "8"))[2] == "--dependency=afterany:7:8"
    assert SLURM.cancel_argv("7") == ("scancel", "7")


@pytest.mark.parametrize("answer", ["123\n", "123;cluster\n", "note of the site\n123\n"])
def test_job_id(answer: str) -> None:
    assert SLURM.parse_job_id(answer) == "123"


@pytest.mark.parametrize("answer", ["", "Submitted batch job\n", "error 12a"])
def test_no_job_id(answer: str) -> None:
    with pytest.raises(OutputError, match="not a job id"):
        SLURM.parse_job_id(answer)


def test_status_in_plain_words() -> None:
    answer = "1|RUNNING|None\n2|PENDING|Dependency\n3|PENDING|SomethingNew\n4|WEIRD|None\nnoise\n"
    found = {job.id: (job.state, job.reason) for job in SLURM.parse_status(answer)}
    assert found == {
        "1": ("running", "runs"),
        "2": ("pending", "waits for the job before it"),
        "3": ("pending", "SomethingNew"),
        "4": ("unknown", "Slurm says WEIRD"),
    }


def test_history_knows_who_cancelled() -> None:
    (job,) = SLURM.parse_status("5|CANCELLED by 1000|None\n")
    assert (job.state, job.reason, job.native) == ("ended", "was cancelled", "CANCELLED")


def test_every_state_of_several_versions_is_known() -> None:
    old = states(SLURM, "slurm-20.11.squeue")
    assert len(old) == 30
    assert not [job for job in old.values() if job[0] == "unknown"]
    assert old["12"][1].startswith("waits for a job that can never satisfy it")
    assert old["15"] == ("pending", "a node it asks for is down or reserved")
    assert old["16"] == ("pending", "could not start on its nodes and is held")
    assert old["39"] == ("ended", "started on another cluster")
    assert states(SLURM, "slurm-22.05.squeue")["106"] == ("pending", "waits for free nodes")
    assert states(SLURM, "slurm-24.05.squeue") == {
        "301": ("ended", "could not start on its nodes"),
        "302": ("ended", "its nodes could not be set up"),
        "303": ("running", "its nodes are starting"),
        "304": ("running", "is ending"),
        "305": ("pending", "could not start on its nodes and is held"),
        "306": ("unknown", "Slurm says TELEPORTED"),
    }


def test_the_history_leaves_steps_out() -> None:
    found = states(SLURM, "slurm-23.02.sacct")
    assert list(found) == [f"20{number}" for number in range(1, 8)]
    assert {state for state, _ in found.values()} == {"ended"}


def test_ids_as_people_type_them() -> None:
    assert SLURM.known_id("12_3") == "12_3"
    with pytest.raises(OutputError, match="no job id"):
        SLURM.known_id("12;rm")
