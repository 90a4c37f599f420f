"""A run's bad nodes reach every later submission, and are shown; spare nodes are planned."""

from pathlib import Path

import pytest

from neox.run.bad_nodes import add_bad_node, read_bad_nodes
from neox.run.paths import RunPaths
from neox.submit.plan import Plan
from neox.submit.problem import PlanError
from neox.submit.run_files import prepare_again
from neox.submit.schedulers.lsf import Lsf
from neox.submit.status import status_lines
from neox.submit.submitting import Submitter, submit
from tests.submit.fake_runner import FakeRunner, sbatch
from tests.submit.runs import around, prepared, written


def submitted(run: RunPaths, folder: Path, links: int = 1) -> list[tuple[str, ...]]:
    runner = FakeRunner({"sbatch": sbatch()})
    submitter = Submitter(runner=runner, around=around(folder))
    submit(prepare_again(run), submitter, links=links, accept_edited=False)
    return runner.asked


# --- the file ----------------------------------------------------------------------------------


def test_lines_are_read_as_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "bad_nodes"
    assert read_bad_nodes(path) == {}
    add_bad_node(path, "n3", "GPU 5\nis gone")
    add_bad_node(path, "n3", "again")
    with path.open("a") as file:
        file.write("n7\n\n")  # by hand, without a reason
    assert read_bad_nodes(path) == {"n3": "GPU 5 is gone", "n7": ""}


# --- submissions -------------------------------------------------------------------------------


def test_slurm_is_told_on_the_command_line(tmp_path: Path) -> None:
    run = written(tmp_path, "--nodes", "2")
    add_bad_node(run.bad_nodes, "n3", "x")
    add_bad_node(run.bad_nodes, "n7", "x")
    first, second = submitted(run, tmp_path, 2)
    assert first[2] == "--exclude=n3,n7"
    assert second[2:4] == ("--dependency=afterany:101", "--exclude=n3,n7")


def test_a_persons_own_exclusions_stay(tmp_path: Path) -> None:
    """sbatch's command line wins over the script, and scontrol's word over both."""
    run = written(tmp_path, "--nodes", "2", "--directive", "exclude=n1,n2")
    assert "--exclude" not in " ".join(submitted(run, tmp_path)[0])
    add_bad_node(run.bad_nodes, "n3", "x")
    run = prepare_again(run).plan.run
    assert "off=n1,n2\n" in run.job_script.read_text()


def test_lsf_selects_others() -> None:
    argv = Lsf().submit_argv(Path("/r/job.sh"), "7", ("h1", "h2"))
    assert argv[3:] == ("-R", "select[hname!='h1' && hname!='h2']", "/r/job.sh")


def test_a_hostfile_loses_its_bad_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("n1.net slots=2\nn2.net slots=2\nn3.net slots=2\n")
    words = ("--site", "openmpi", "hostfile=hosts", "num_gpus=2", "--nodes", "2")
    run = written(tmp_path, *words)
    add_bad_node(run.bad_nodes, "n1", "x")  # as the node calls itself
    submitter = Submitter(runner=FakeRunner(), around=around(tmp_path))
    submit(prepare_again(run), submitter, links=1, accept_edited=False)
    assert (run.link(1).root / "hostfile").read_text() == "n2.net slots=2\nn3.net slots=2\n"
    add_bad_node(run.bad_nodes, "n2", "x")
    run.submissions.unlink()
    with pytest.raises(PlanError, match="2 nodes, and the hostfile names 1"):
        submit(prepare_again(run), submitter, links=1, accept_edited=False)


def test_status_shows_them_and_how_to_forgive_one(tmp_path: Path) -> None:
    run = written(tmp_path)
    add_bad_node(run.bad_nodes, "n3", "GPU 5 is gone (job 7)")
    lines = status_lines(run, FakeRunner())
    assert "  bad    n3: GPU 5 is gone (job 7)" in lines
    assert str(run.bad_nodes) in lines[-1]


# --- spare nodes -------------------------------------------------------------------------------


def plan(tmp_path: Path, *words: str) -> Plan:
    return prepared(tmp_path, *words).plan


def test_spare_nodes_are_allocated_paid_and_left_out(tmp_path: Path) -> None:
    made = plan(tmp_path, "--nodes", "3", "--spare-nodes", "2", "num_gpus=2")
    assert "--nodes=5" in [directive.text for directive in made.directives]
    assert (made.nodes, made.ranks, made.cost.amount) == (3, 6, 5.0)
    launch = "".join(map(str, made.launch.argv))
    assert "--nodes=3" in launch and "left_out" in launch
    assert made.preflight is not None
    tried = "".join(map(str, made.preflight.launch.argv))
    assert "--nodes=5" in tried and "--ntasks=10" in tried and "left_out" not in tried


def test_a_node_alone_is_not_tried_and_one_with_a_spare_is(tmp_path: Path) -> None:
    assert plan(tmp_path).preflight is None
    assert plan(tmp_path, "--spare-nodes", "1").preflight is not None


def test_spare_hosts_come_from_the_hostfile(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("".join(f"n{i} slots=2\n" for i in range(1, 5)))
    words = ("--site", "openmpi", "hostfile=hosts", "num_gpus=2", "--nodes", "2")
    made = plan(tmp_path, *words, "--spare-nodes", "1")
    assert made.preflight is not None
    files = {f.name: f.content for f in (*made.preflight.launch.files, *made.launch.files)}
    assert files["hostfile"].split()[::2] == ["n1", "n2", "n3"]
    assert "rank 4=n3 slot=" in files["rankfile"]
    assert "rank 2=+n1 slot=" in files["rankfile-used"]
    with pytest.raises(PlanError, match=r"5 nodes with 3 spare ones.*use --nodes 1"):
        plan(tmp_path, *words, "--spare-nodes", "3")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--site", "local"), "spawn on local runs on every node"),
        (("--job", "prepare-data"), "nobody tries the nodes of a prepare-data job"),
    ],
)
def test_spare_nodes_are_refused_where_they_cannot_be(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        plan(tmp_path, "--spare-nodes", "1", *words)
