"""No scheduler: what there is to say of jobs that are processes of this machine."""

from pathlib import Path

from neox.submit.schedulers.local import Local
from tests.submit.askings import ask, plan, refused

LOCAL = Local()
SMALL = ask("local", "pythia/14M")


def test_no_header() -> None:
    assert plan(SMALL).directives == ()
    assert "leave --directive out" in refused(SMALL, directives=("hold",))


def test_commands() -> None:
    assert LOCAL.submit_argv(Path("/r/job.sh")) == ("bash", "/r/job.sh")
