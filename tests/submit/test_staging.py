"""When a Python is unpacked on each node, and what the job then asks for."""

import pytest

from neox.submit.words import Literal, ShellVar
from tests.submit.askings import ask, plan

NODES = 96  # Frontier advises it from 64 on
ARCHIVE = "/ccs/proj/abc123/neox/venv.tar"


def test_many_nodes_start_python_from_their_own_disks() -> None:
    made = plan(ask("frontier"), nodes=NODES)
    assert made.stage is not None
    assert (made.stage.archive, made.stage.broadcast) == (ARCHIVE, True)
    assert made.stage.to == (Literal("/mnt/bb/me/neox-"), ShellVar("job_id"))
    assert "--constraint=nvme" in [directive.text for directive in made.directives]
    (told,) = (warning for warning in made.warnings if "of each node" in warning)
    assert f"tar -C /ccs/proj/abc123/neox/.venv -cf {ARCHIVE} . writes that file" in told


def test_a_few_do_not() -> None:
    made = plan(ask("frontier"), nodes=12)
    assert made.stage is None
    assert "--constraint=nvme" not in [directive.text for directive in made.directives]
    assert not any("own disk" in warning for warning in made.warnings)


@pytest.mark.parametrize("python", ["/my/own/bin/python"])
def test_the_archive_does_not_hold_a_python_of_ones_own(python: str) -> None:
    made = plan(ask("frontier"), nodes=NODES, python=python)
    assert made.stage is None
    assert any(f"it is started from {python} here" in warning for warning in made.warnings)
