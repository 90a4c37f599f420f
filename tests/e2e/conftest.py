"""One cluster for all tests of this folder; where it cannot be, they skip and say why."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.e2e.jobs import Desk, environment
from tests.testbed.daemons import BedError
from tests.testbed.slurm import CloudController, SlurmCluster
from tests.testbed.ssh import SshNodes

FRONTIER_NODES = 9408


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """Four nodes like Frontier's, two DGX. NEOX_REQUIRE_SLURM=1 makes its absence a failure."""
    folder = Path(tempfile.mkdtemp(prefix="neox-slurm-"))
    folder.chmod(0o711)  # munge's socket must be reachable for all, and pytest's folders are not
    cluster = SlurmCluster(folder)
    try:
        cluster.up()
    except BedError as error:
        _none("Slurm", error)
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def frontier_controller() -> Iterator[CloudController]:
    """Slurm's controller with as many nodes as Frontier has, none of them started."""
    folder = Path(tempfile.mkdtemp(prefix="neox-cloud-"))
    folder.chmod(0o711)
    controller = CloudController(folder, FRONTIER_NODES)
    try:
        controller.up()
    except BedError as error:
        _none("Slurm", error)
    yield controller
    controller.down()


def _none(what: str, error: BedError) -> NoReturn:
    if os.environ.get("NEOX_REQUIRE_SLURM") == "1":
        pytest.fail(f"NEOX_REQUIRE_SLURM=1 and no {what}: {error}")
    pytest.skip(f"no {what} test bed: {str(error).splitlines()[0]}")


@pytest.fixture(scope="session")
def ssh_nodes() -> Iterator[SshNodes]:
    """Two nodes that mpirun reaches by ssh."""
    nodes = SshNodes(Path(tempfile.mkdtemp(prefix="neox-ssh-")), 2)
    try:
        nodes.up()
    except BedError as error:
        _none("ssh", error)
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
