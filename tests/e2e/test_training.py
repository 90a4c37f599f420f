"""The real engine under real launchers: a tiny model, from submission to a finished run."""

import pytest

from neox.run.paths import RunPaths
from neox.submit.submissions import submissions
from tests.e2e.jobs import Desk, losses, ranks_seen, wait_until
from tests.testbed.ssh import SshNodes

pytestmark = pytest.mark.slow


@pytest.mark.slurm
def test_two_nodes_of_two_ranks_train_through_sbatch(desk: Desk) -> None:
    run = desk.run("trained", "--nodes", "2", "train_iters=6")
    assert desk.wait_for_end(run, 240) == [0]
    (job,) = submissions(run)
    log = run.job_log(job.job_id).read_text()
    assert "data ranks" in log
    assert "[n1:0] step 6/6" in log
    assert "preflight" not in log  # both nodes passed it in time
    assert {path.name for path in run.logs.glob("*.log")} == {
        "n1.0.log",
        "n1.1.log",
        "n2.2.log",
        "n2.3.log",
    }
    status = desk.status(run)
    assert (status["state"], status["step"]) == ("finished", 6)
    assert "finished" in desk.neox_submit("submit", str(run.root), code=4)
    explained = desk.neox_submit("explain", str(run.root))
    assert "srun" in explained
    assert "testbed.toml" in explained


@pytest.mark.slurm
def test_a_chain_of_three_short_links_finishes_a_run_that_needs_three(desk: Desk) -> None:
    run = desk.run("three", "--chain", "3", "num_gpus=1", "train_iters=12", "exit_interval=4")
    assert desk.wait_for_end(run, 240) == [85, 85, 0]
    assert sorted(losses(run)) == list(range(1, 13))
    straight = desk.run("straight", "num_gpus=1", "train_iters=12")
    assert desk.wait_for_end(straight, 120) == [0]
    assert losses(run) == losses(straight)  # bit for bit


@pytest.mark.slurm
def test_a_job_that_meets_its_walltime_saves_and_asks_for_the_next_link(desk: Desk) -> None:
    run = desk.run("walltime", "--time", "0:01:00", "num_gpus=1", "train_iters=1000000")
    assert desk.wait_for_end(run, 240) == [85]
    (job,) = submissions(run)
    assert run.saved(job.job_id).exists()
    assert "TIME LIMIT" not in run.job_log(job.job_id).read_text()


def test_this_machine_stops_on_request_and_goes_on_where_it_was(here: Desk) -> None:
    words = ("num_gpus=1", "train_iters=1000000")
    run = here.run("local", *words)
    wait_until("it trains", run.heartbeat.exists, 120)
    assert here.status(run)["state"] == "running"
    here.neox_submit("stop", str(run.root))
    assert here.wait_for_end(run, 120) == [85]
    stopped_at = max(losses(run))
    again = (*here.site, "--name", "local", "tiny.yml", "--continue", "--yes", "num_gpus=1")
    changed = here.neox_submit(*again, "train_iters=99", "hidden_size=64", code=4)
    assert "hidden_size: 32 -> 64" in changed
    assert "train_iters x train_batch_size: 2000000 -> 198" in changed
    here.neox_submit(*again, "train_iters=1000000")
    wait_until("it goes on", lambda: max(losses(run)) > stopped_at, 120)
    here.neox_submit("stop", str(run.root))
    assert here.wait_for_end(run, 120) == [85, 85]
    assert sorted(losses(run)) == list(range(1, max(losses(run)) + 1))


def test_cancel_on_this_machine_ends_every_rank(here: Desk) -> None:
    run = here.run("gone", "--chain", "2", "train_iters=1000000")
    wait_until("it trains", run.heartbeat.exists, 120)
    here.neox_submit("cancel", str(run.root))
    here.wait_for_end(run, 60)
    processes = [job.running_process() for job in submissions(run)]
    assert not any(process is not None and process.alive for process in processes)
    before = run.heartbeat.stat().st_mtime
    again = here.neox_submit("cancel", str(run.root))
    assert "no job of it waits or runs" in again
    assert run.heartbeat.stat().st_mtime == before


def hosts(desk: Desk, *lines: str) -> None:
    (desk.folder / "hosts").write_text("\n".join([*lines, ""]))
    # Open MPI refuses root without being told twice
    desk.env |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def test_ranks_leave_seconds_apart_under_mpirun_over_two_nodes(
    here: Desk, ssh_nodes: SshNodes
) -> None:
    hosts(here, "n1 slots=2", "n2 slots=2")
    words = ("--site", "openmpi", "--name", "mpi", "tiny.yml", "hostfile=hosts", "--nodes", "2")
    words = (*words, "--python", here.python("leave"), "--yes")
    here.neox_submit(*words, prefix=ssh_nodes.login)
    run = RunPaths(here.folder / "runs" / "mpi")
    assert here.wait_for_end(run, 90) == [85]
    (job,) = submissions(run)
    seen = ranks_seen(run, job.job_id)
    assert [seen[rank]["node"] for rank in range(4)] == ["n1", "n1", "n2", "n2"]
    left = sorted(float(p.read_text()) for p in run.state.glob(f"left.{job.job_id}.*"))
    assert len(left) == 4
    assert left[-1] - left[0] > 4


def test_a_spare_host_takes_the_place_of_a_bad_one(here: Desk, ssh_nodes: SshNodes) -> None:
    """Open MPI reads the host that job.sh chose; its rankfile counts among those."""
    hosts(here, "n1 slots=2", "n2 slots=2")
    words = ("--site", "openmpi", "--name", "mpi", "tiny.yml", "hostfile=hosts")
    here.neox_submit(*words, "--spare-nodes", "1", "--python", here.python("at-once"))
    run = RunPaths(here.folder / "runs" / "mpi")
    (run.state / "unfit.n1").touch()
    here.neox_submit("submit", str(run.root), prefix=ssh_nodes.login)
    assert here.wait_for_end(run, 90) == [85]
    (job,) = submissions(run)
    seen = ranks_seen(run, job.job_id)
    assert [seen[rank]["node"] for rank in range(2)] == ["n2", "n2"]
    assert run.bad_nodes.read_text() == f"n1 its GPU 3 is gone (job {job.job_id})\n"


def test_mpirun_trains(here: Desk) -> None:
    hosts(here, "localhost slots=2")
    words = ("--site", "openmpi", "--name", "mpi", "tiny.yml", "hostfile=hosts", "train_iters=4")
    here.neox_submit(*words, "--yes")
    run = RunPaths(here.folder / "runs" / "mpi")
    assert here.wait_for_end(run, 120) == [0]
    assert max(losses(run)) == 4
