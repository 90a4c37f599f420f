"""mpirun's hostfile and rankfile, read back."""

import re
from dataclasses import replace
from itertools import pairwise

from neox.sites.ranges import parse_cores
from neox.submit.plan import Plan
from tests.submit.askings import argv, ask, plan, refused, site

MPI = ask("openmpi", "pythia/14M", overrides=("num_gpus=2",))
HOSTS = ("alpha", "beta.example", "gamma")


def file_of(made: Plan, name: str) -> str:
    return next(file.content for file in made.launch.files if file.name == name)


def test_line_names_the_computed_files_and_each_variable() -> None:
    made = plan(MPI, nodes=2, hosts=HOSTS)
    line = argv(made)
    assert line[:7] == [
        *("mpirun", "-np", "4"),
        *("--hostfile", "$link/hostfile", "--rankfile", "$link/rankfile"),
    ]
    passed = [name for option, name in pairwise(line) if option == "-x"]
    assert passed == list(made.launch.forward)
    assert {"MASTER_ADDR", "MASTER_PORT", "NEOX_JOB_ID", "OMP_NUM_THREADS"} <= set(passed)
    assert not [name for name in passed if "=" in name], "values never stand on the line"


def test_rankfile_is_the_layout() -> None:
    made = plan(MPI, nodes=2, hosts=HOSTS)
    lines = file_of(made, "rankfile").splitlines()
    read = [re.fullmatch(r"rank (\d+)=(\S+) slot=(\S+)", line) for line in lines]
    found = [(int(m[1]), m[2], parse_cores(m[3])) for m in read if m]
    expected = [
        (node * 2 + place.local_rank, HOSTS[node], place.cores)
        for node in range(2)
        for place in made.layout
    ]
    assert found == expected
    assert file_of(made, "hostfile") == "alpha slots=2\nbeta.example slots=2\n"


def test_open_mpi_5_takes_the_rankfile_as_a_mapping() -> None:
    openmpi = site("openmpi")
    newer = replace(openmpi, launcher=replace(openmpi.launcher, major_version=5))
    line = argv(plan(MPI, newer, nodes=1, hosts=HOSTS))
    assert line[line.index("--map-by") + 1] == "rankfile:file=$link/rankfile"


def test_more_nodes_than_hosts_is_refused_with_what_fits() -> None:
    assert "use --nodes 3" in refused(MPI, nodes=4, hosts=HOSTS)
    assert "hostfile=FILE" in refused(MPI, nodes=1)


def test_inside_an_allocation_hosts_are_relative() -> None:
    slurm = site("slurm")
    launcher = replace(site("openmpi").launcher, master="first-host")
    made = plan(replace(MPI, site="slurm"), replace(slurm, launcher=launcher), nodes=2)
    assert "--hostfile" not in argv(made)
    assert file_of(made, "rankfile").splitlines()[-1].startswith("rank 3=+n1 slot=")
