"""The real job.sh under bash: bad nodes are found before the ranks, kept off, and replaced."""

import dataclasses
import json
from pathlib import Path

import pytest

from neox.submit.plan import LaunchPlan, Plan, Preflight
from neox.submit.words import Literal, ShellVar, Word, literal
from tests.submit import plans
from tests.submit.stand_ins import Machine, ended, machine

EIGHT = " ".join(f"node{number}" for number in range(1, 9))


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Machine:
    made = machine(tmp_path)
    made.environ["FAKE_HOSTS"] = EIGHT
    return made


def tried(here: Machine, name: plans.SiteName = "slurm", spare: int = 0, **changes: object) -> Plan:
    """A job on eight nodes, with a preflight that waits for three seconds."""
    made = plans.plan(here.run, name, python=here.python, **changes)  # type: ignore[arg-type]
    launch = made.launch
    if spare:
        launch = dataclasses.replace(launch, argv=(*launch.argv, left_out()))
    request = dataclasses.replace(made.request, hosts=tuple(EIGHT.split()))
    return dataclasses.replace(
        made,
        request=request,
        hosts=request.hosts,
        nodes=8 - spare,
        layout=made.layout[:1],
        spare_nodes=spare,
        launch=launch,
        preflight=Preflight(launch=made.launch, seconds=3),
    )


def left_out() -> Word:
    return (Literal("--exclude="), ShellVar("left_out"))


def launched(here: Machine) -> list[str]:
    return (here.state / "launch").read_text().split("\0")


def test_a_machine_in_order_is_tried_and_left_as_it_was(here: Machine) -> None:
    here.submit(tried(here))
    code, printed = here.finish(FAKE_SIZE="8")
    assert code == 0, printed
    assert (here.state / "preflight").read_text().split("\0")[-2] == "preflight"
    assert not (here.state / "bad_nodes").exists()
    assert not (here.state / "preflight.4711").exists()


@pytest.mark.parametrize(
    ("name", "trouble", "reason"),
    [
        ("slurm", "FAKE_UNFIT", "its GPU 3 is gone"),
        ("slurm", "FAKE_SILENT", "gave no sign of life in its preflight"),
        ("openmpi", "FAKE_UNFIT", "its GPU 3 is gone"),
    ],
)
def test_a_bad_node_ends_the_link_and_is_kept_off_the_next(
    here: Machine, name: plans.SiteName, trouble: str, reason: str
) -> None:
    waiting = [{"job_id": "4711"}, {"job_id": "4712"}]
    lines = "".join(f"{json.dumps(line)}\n" for line in waiting)
    (here.run / "submissions.jsonl").write_text(lines)
    here.submit(tried(here, name))
    job = here.start(FAKE_SIZE="8", **{trouble: "node3"})
    code, printed = ended(job)
    assert code == 75, printed
    assert f"job.sh: preflight: node3: {reason}" in printed
    assert not (here.state / "launch").exists()
    (line,) = (here.state / "bad_nodes").read_text().splitlines()
    assert line.startswith(f"node3 {reason} (job ")
    assert "not fit: node3" in json.loads((here.state / "links.jsonl").read_text())["reason"]
    if name == "slurm":  # the link that waits, and it alone
        assert (here.state / "updates").read_text() == "update JobId=4712 ExcNodeList=node3\n"


def test_a_spare_node_takes_the_place_of_a_bad_one(here: Machine) -> None:
    here.submit(tried(here, spare=2))
    code, printed = here.finish(FAKE_SIZE="6", FAKE_UNFIT="node1")
    assert code == 0, printed
    assert "--exclude=node1,node8" in launched(here)  # six of the other seven
    assert "MASTER_ADDR=node2" in (here.state / "env.0").read_text().split("\0")
    assert (here.state / "bad_nodes").read_text().startswith("node1 ")


def test_more_bad_nodes_than_spare_ones(here: Machine) -> None:
    here.submit(tried(here, spare=1))
    code, printed = here.finish(FAKE_SIZE="7", FAKE_UNFIT="node1 node2")
    assert code == 75
    assert "6 nodes are fit, and 7 are needed" in printed


def test_spare_hosts_of_a_hostfile(here: Machine) -> None:
    plan = tried(here, "openmpi", spare=2)
    launch = LaunchPlan(
        argv=(literal("mpirun"), literal("--hostfile"), (ShellVar("used_hosts"),)),
        chosen_line="%s slots=1\\n",
        chosen_ranks="rankfile-used",
        rank_variable=plan.launch.rank_variable,
        local_rank_variable=plan.launch.local_rank_variable,
        size_variable=plan.launch.size_variable,
    )
    here.submit(dataclasses.replace(plan, launch=launch))
    ranks = "rank 0=+n0 slot=0\nrank 1=+n1 slot=0\n"
    (here.run / "links/1/rankfile-used").write_text(ranks)
    code, printed = here.finish(FAKE_SIZE="6", FAKE_UNFIT="node2")
    assert code == 0, printed
    (file,) = here.state.glob("ranks.*")
    assert file.read_text() == "rank 0=node1 slot=0\nrank 1=node3 slot=0\n"
    (used,) = here.state.glob("hosts.*")
    assert used.read_text().split() == [
        word for n in (1, 3, 4, 5, 6, 7) for word in (f"node{n}", "slots=1")
    ]
    assert str(used) in launched(here)


def test_a_node_that_was_bad_before_is_not_asked_again(here: Machine) -> None:
    (here.state / "bad_nodes").write_text("node3 its fan is loud\n")
    here.submit(tried(here, spare=1))
    assert here.finish(FAKE_SIZE="7")[0] == 0
    assert "--exclude=node3" in launched(here)
    assert (here.state / "bad_nodes").read_text() == "node3 its fan is loud\n"


def test_what_so_many_nodes_share_is_no_fault_of_a_node(here: Machine) -> None:
    here.submit(tried(here))
    code, printed = here.finish(FAKE_SIZE="8", FAKE_UNFIT="node1 node2 node3")
    assert code == 75
    assert "3 of 8 nodes are not fit: its GPU 3 is gone" in printed
    assert not (here.state / "bad_nodes").exists()


def test_a_launcher_that_reaches_nobody_blames_nobody(here: Machine) -> None:
    """Python may only be slow to start: the ranks are started, and say themselves what is wrong."""
    srun = here.folder / "bin" / "srun"
    srun.rename(here.folder / "srun")
    srun.write_text(f'#!/bin/bash\n[[ ${{!#}} != preflight ]] && exec {here.folder}/srun "$@"\n')
    srun.chmod(0o755)
    here.submit(tried(here))
    code, printed = here.finish(FAKE_SIZE="8")
    assert code == 0
    assert "8 of 8 nodes gave no answer: the ranks are started all the same" in printed
    assert not (here.state / "bad_nodes").exists()


def test_a_job_cancelled_in_its_preflight_blames_nobody(here: Machine) -> None:
    here.submit(tried(here))
    job = here.start(FAKE_SILENT="node3")
    here.wait_for("preflight")
    here.wait_for("preflight.4711/node1")
    job.terminate()
    assert ended(job)[0] == 143
    assert not (here.state / "bad_nodes").exists()
    assert not (here.state / "owner").exists()


def test_a_stop_in_the_preflight_is_heeded_by_the_ranks(here: Machine) -> None:
    here.submit(tried(here))
    job = here.start(FAKE_SIZE="8", FAKE_END="stop", FAKE_SILENT="node9")
    here.wait_for("preflight")
    (here.state / "stop").touch()
    assert ended(job)[0] == 85


def test_a_rank_that_names_its_node_has_it_kept_off(here: Machine) -> None:
    (here.run / "submissions.jsonl").write_text('{"job_id": "4712"}\n')
    here.submit(tried(here))
    job = here.start(FAKE_SIZE="8", FAKE_END="stop")
    here.wait_for("phase.step.0")
    told = {"code": 75, "rank": 2, "reason": "uncorrectable ECC error", "node": "node3"}
    (here.state / "failed.4711").write_text(json.dumps(told))
    (here.state / "stop").touch()
    assert ended(job)[0] == 75
    assert (here.state / "bad_nodes").read_text() == "node3 uncorrectable ECC error (job 4711)\n"
    assert (here.state / "updates").read_text() == "update JobId=4712 ExcNodeList=node3\n"
