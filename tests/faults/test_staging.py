"""Python unpacked on each node by the real job.sh and rank.sh, with stand-ins."""

import dataclasses
import tarfile
from pathlib import Path

import pytest

from neox.submit.plan import Plan, Preflight, Staging
from neox.submit.words import Literal, ShellVar
from tests.submit import plans
from tests.submit.stand_ins import Machine, machine

SBCAST = """#!/bin/bash
[[ $# == 3 && $1 == --force ]] || exit 64
cp "$2" "$3"
: >"$FAKE_RUN/state/broadcast"
"""


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Machine:
    made = machine(tmp_path)
    (tmp_path / "bin" / "sbcast").write_text(SBCAST)
    (tmp_path / "bin" / "sbcast").chmod(0o755)
    (tmp_path / "disk").mkdir()
    return made


def packed(here: Machine, *, sound: bool = True) -> Path:
    """A tar of a folder with bin/python, which says that it was used."""
    folder = here.folder / "venv" / "bin"
    folder.mkdir(parents=True)
    python = folder / "python"
    first = ': >"$FAKE_RUN/state/staged.$RANK"' if sound else "exit 1"
    python.write_text(f'#!/bin/bash\n{first}\nexec {here.python} "$@"\n')
    python.chmod(0o755)
    path = here.folder / "venv.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(here.folder / "venv", arcname=".")
    return path


def plan(here: Machine, archive: Path, *, broadcast: bool = False) -> Plan:
    made = plans.plan(here.run, "slurm", python=here.python)
    to = (Literal(f"{here.folder}/disk/neox-"), ShellVar("job_id"))
    stage = Staging(archive=str(archive), to=to, broadcast=broadcast, needs=None)
    return dataclasses.replace(made, preflight=Preflight(launch=made.launch), stage=stage)


def used(here: Machine) -> list[str]:
    return sorted(path.name for path in here.state.glob("staged.*"))


@pytest.mark.parametrize("broadcast", [False, True])
def test_ranks_start_the_unpacked_python_and_it_is_removed(here: Machine, broadcast: bool) -> None:
    here.submit(plan(here, packed(here), broadcast=broadcast))
    code, printed = here.finish()
    assert code == 0, printed
    assert used(here) == ["staged.0", "staged.1"]
    assert (here.state / "broadcast").exists() == broadcast
    assert list((here.folder / "disk").iterdir()) == []


def test_the_code_of_the_ranks_survives_the_cleaning(here: Machine) -> None:
    here.submit(plan(here, packed(here)))
    assert here.finish(FAKE_END="exit 42", FAKE_NO_END="1")[0] == 75
    assert list((here.folder / "disk").iterdir()) == []


def test_a_broken_archive_leaves_the_shared_python(here: Machine) -> None:
    here.submit(plan(here, packed(here, sound=False)))
    code, printed = here.finish()
    assert code == 0, printed
    assert "venv.tar.gz gave no Python with NeoX in it" in printed
    assert used(here) == []


def test_no_archive_is_told_and_no_error(here: Machine) -> None:
    here.submit(plan(here, here.folder / "nothing.tar"))
    code, printed = here.finish()
    assert code == 0
    assert f"no {here.folder}/nothing.tar: Python starts from {here.python}" in printed


def test_a_failed_broadcast_is_told_and_each_node_reads(here: Machine) -> None:
    (here.folder / "bin" / "sbcast").write_text("#!/bin/bash\nexit 1\n")
    here.submit(plan(here, packed(here), broadcast=True))
    code, printed = here.finish()
    assert code == 0
    assert "sbcast failed: each node reads" in printed
    assert used(here) == ["staged.0", "staged.1"]
