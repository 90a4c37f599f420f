"""No scheduler: processes of this machine. The real `ps` is asked about real processes."""

import os
import subprocess
from pathlib import Path

from neox.submit.schedulers.local import Local
from tests.submit.askings import ask, plan, refused

LOCAL = Local()
SMALL = ask("local", "pythia/14M")


def answer(argv: tuple[str, ...]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10).stdout


def test_no_header() -> None:
    assert plan(SMALL).directives == ()
    assert "leave --directive out" in refused(SMALL, directives=("hold",))


def test_ps_knows_this_process_and_no_other() -> None:
    mine = str(os.getpid())
    (job,) = LOCAL.parse_status(answer(LOCAL.status_argv((mine, "4194304"))))
    assert (job.id, job.state) == (mine, "running")


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    (job,) = LOCAL.parse_status(answer(LOCAL.status_argv((str(child.pid),))))
    child.wait()
    assert job.state == "ended"


def test_commands() -> None:
    assert LOCAL.submit_argv(Path("/r/job.sh")) == ("bash", "/r/job.sh")
    assert LOCAL.cancel_argv("9") == ("kill", "-TERM", "9")
    assert LOCAL.parse_job_id("9\n") == "9"
