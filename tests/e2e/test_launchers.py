"""Training starts and ends on two nodes under each launcher that can be installed here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit.submissions import submissions
from tests.e2e.jobs import Desk, losses, ranks_seen, wait_until
from tests.testbed.ssh import SshNodes

pytestmark = pytest.mark.slow

# name -> what the profile says of its launcher, and the program that must be there
LAUNCHERS = {
    "openmpi-5": ('kind = "openmpi"\nmajor_version = 5\nbinding = "rankfile"', "mpirun"),
    "mpich": ('kind = "mpich"\nbinding = "user-list"', "mpiexec.hydra"),
    "pdsh": ('kind = "pdsh"\nbinding = "wrapper"', "pdsh"),
    "torchrun": ('kind = "torchrun"\nbinding = "wrapper"', "pdsh"),
}


def program_of(name: str) -> str:
    """Open MPI 5 is a package of the tests' own Python, beside Debian's Open MPI 4."""
    program = LAUNCHERS[name][1]
    own = Path(sys.prefix, "bin", program)
    found = str(own) if name == "openmpi-5" and own.exists() else shutil.which(program)
    if found is None or (name == "openmpi-5" and not own.exists()):
        pytest.skip(f"{program} for {name} is not installed")
    return found


def profile(here: Desk, name: str) -> tuple[str, ...]:
    """A profile of the person's own, in the folder where neox-submit looks first."""
    launcher, _ = LAUNCHERS[name]
    command = f'command = "{program_of(name)}"\n' if name != "torchrun" else ""
    (here.folder / "sites").mkdir()
    (here.folder / "sites" / "two-nodes.toml").write_text(
        f'schema = 1\nextends = "openmpi"\ntitle = "two nodes"\nstatus = "draft"\n\n'
        f"[launcher]\n{launcher}\n{command}"
    )
    (here.folder / "hosts").write_text("n1 slots=1\nn2 slots=1\n")
    here.env |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return ("--site", "two-nodes", "--nodes", "2", "tiny.yml", "hostfile=hosts", "num_gpus=1")


@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_nodes_train_to_the_end(here: Desk, ssh_nodes: SshNodes, name: str) -> None:
    words = (*profile(here, name), "--name", name, "train_iters=3", "--yes")
    here.neox_submit(*words, prefix=ssh_nodes.login)
    run = RunPaths(here.folder / "runs" / name)
    assert here.wait_for_end(run, 150) == [0]
    assert max(losses(run)) == 3
    logs = {path.name for path in run.logs.glob("*.*.log")}
    assert logs == {"n1.0.log", "n2.1.log"}
    printed = "".join(path.read_text() for path in run.logs.iterdir())
    assert "were planned" not in printed, "a rank may run elsewhere than the layout says"


def test_a_rank_that_fails_does_not_keep_the_others_waiting(
    here: Desk, ssh_nodes: SshNodes
) -> None:
    """Under Hydra, which would."""
    words = (*profile(here, "mpich"), "--name", "alone", "--python", here.python("fail-alone"))
    here.neox_submit(*words, "--yes", prefix=ssh_nodes.login)
    assert here.wait_for_end(RunPaths(here.folder / "runs" / "alone"), 60) == [3]


def test_a_cancelled_job_of_pdsh_leaves_nothing_on_the_nodes(
    here: Desk, ssh_nodes: SshNodes
) -> None:
    words = (*profile(here, "pdsh"), "--name", "gone", "--python", here.python("wait"), "--yes")
    here.neox_submit(*words, prefix=ssh_nodes.login)
    run = RunPaths(here.folder / "runs" / "gone")
    wait_until("the ranks start", lambda: len([*run.state.glob("rank.*")]) == 2, 60)
    assert ranks_of(run)
    here.neox_submit("cancel", str(run.root))
    wait_until("no rank is left", lambda: not ranks_of(run), 40)


def ranks_of(run: RunPaths) -> list[str]:
    """Processes of this run's scripts, wherever they are started."""
    found = subprocess.run(["pgrep", "-f", f"{run.root}/links"], capture_output=True, check=False)
    return found.stdout.decode().split()


@pytest.mark.slurm
def test_one_torchrun_on_each_node_of_a_slurm_job(desk: Desk) -> None:
    """Trap 6: under srun it has the whole node, and each of its ranks the layout's cores."""
    (desk.folder / "sites").mkdir()
    (desk.folder / "sites" / "agents.toml").write_text(
        'schema = 1\nextends = "testbed"\ntitle = "the test bed"\nstatus = "verified"\n\n'
        '[launcher]\nkind = "torchrun"\nbinding = "wrapper"\nflags = []\n'
    )
    desk.site = ("--site", "agents", *desk.site[2:])
    run = desk.run("agents", "--nodes", "2", "--python", desk.python("leave"))
    assert desk.wait_for_end(run) == [85]
    (job,) = submissions(run)
    seen = ranks_seen(run, job.job_id)
    assert [seen[rank]["node"] for rank in range(4)] == ["n1", "n1", "n2", "n2"]
    assert [seen[rank]["world"] for rank in range(4)] == [4] * 4
    own = [list(range(49, 56)), list(range(57, 64))]
    assert [seen[rank]["cores"] for rank in range(4)] == own * 2
