"""One cluster for all tests of this folder; where it cannot be, they skip and say why."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.jobs import Desk, environment
from tests.testbed.daemons import BedError
from tests.testbed.slurm import SlurmCluster
from tests.testbed.ssh import SshNodes


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """Four nodes of Frontier's shape. NEOX_REQUIRE_SLURM=1 makes its absence a failure."""
    folder = Path(tempfile.mkdtemp(prefix="neox-slurm-"))
    folder.chmod(0o711)  # munge's socket must be reachable for all, and pytest's folders are not
    cluster = SlurmCluster(folder)
    try:
        cluster.up()
    except BedError as error:
        if os.environ.get("NEOX_REQUIRE_SLURM") == "1":
            pytest.fail(f"NEOX_REQUIRE_SLURM=1 and no Slurm: {error}")
        pytest.skip(f"no Slurm test bed: {str(error).splitlines()[0]}")
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def ssh_nodes() -> Iterator[SshNodes]:
    """Two nodes that mpirun reaches by ssh."""
    nodes = SshNodes(Path(tempfile.mkdtemp(prefix="neox-ssh-")), 2)
    try:
        nodes.up()
    except BedError as error:
        pytest.skip(f"no ssh nodes: {str(error).splitlines()[0]}")
    yield nodes
    nodes.down()


@pytest.fixture
def desk(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[Desk]:
    """A person on the cluster's login node; afterwards no job of the test is left."""
    site = ("--site", "testbed", "--account", "proj123", "--time", "0:05:00")
    yield Desk(folder=tmp_path, env=slurm_cluster.env, site=site)
    slurm_cluster.cancel_all()


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    """A person on this machine, without any scheduler."""
    return Desk(folder=tmp_path, env=environment(), site=("--site", "local"))
