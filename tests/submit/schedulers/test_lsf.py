"""LSF's dialect."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.submit.schedulers.lsf import Lsf
from neox.submit.schedulers.scheduler import OutputError
from tests.submit.askings import ask, plan, site
from tests.submit.schedulers.answers import states

LSF = Lsf()


def texts(**changes: object) -> list[str]:
    made = plan(ask("summit"), nodes=16, **changes)
    return [directive.text for directive in made.directives]


def test_summit_header_line_by_line() -> None:
    assert texts(seconds=7200) == [
        "-J 20B",
        "-P abc123",
        "-q batch",
        "-nnodes 16",
        '-alloc_flags "smt1 nvme"',
        "-W 2:00",
        "-rn",
        "-wa USR2",
        "-wt 5",
        "-o /lustre/here/runs/20B/logs/%J.out",
    ]


def test_flags_stand_on_one_line_only() -> None:
    summit = site("summit")
    many = replace(summit.scheduler, alloc_flags=("gpumps", "smt1", "nvme"))
    made = plan(ask("summit"), replace(summit, scheduler=many), nodes=16)
    lines = [d.text for d in made.directives if "alloc_flags" in d.text]
    assert lines == ['-alloc_flags "gpumps smt1 nvme"']


def test_whole_minutes_rounded_up() -> None:
    assert "-W 1:31" in texts(seconds=5401)


def test_commands() -> None:
    script = Path("/r/job.sh")
    # a path, not a redirection: `bsub < file` does not work on Summit
    assert LSF.submit_argv(script) == ("bsub", "/r/job.sh")
    assert LSF.submit_argv(script, after=("7",)) == ("bsub", "-w", "ended(7)", "/r/job.sh")
    assert LSF.submit_argv(script, after=("7", "8"))[2] == "ended(7) && ended(8)"
    assert LSF.cancel_argv("7") == ("bkill", "7")


def test_job_id() -> None:
    assert LSF.parse_job_id("Job <17> is submitted to queue <batch>.\n") == "17"
    with pytest.raises(OutputError):
        LSF.parse_job_id("Request aborted by esub. Job not submitted.\n")


def test_status_in_plain_words() -> None:
    answer = (
        "17|RUN|-\n18|PEND|Job dependency condition not satisfied;\n19|EXIT|-\n"
        "Job <20> is not found\n21|PEND|Not enough hosts: 3 hosts | busy\n"
    )
    found = {job.id: (job.state, job.reason) for job in LSF.parse_status(answer)}
    assert found == {
        "17": ("running", "runs"),
        "18": ("pending", "waits for the job before it"),
        "19": ("ended", "ended with an exit code"),
        "21": ("pending", "Not enough hosts"),
    }


def test_a_retired_machine_renders_and_refuses() -> None:
    made = plan(ask("summit"), nodes=16)
    assert made.refusal is not None
    assert "2024-11-15" in made.refusal
    assert plan(ask("frontier"), nodes=12).refusal is None


def test_every_state_is_known() -> None:
    assert states(LSF, "lsf-10.1.bjobs") == {
        "401": ("running", "runs"),
        "402": ("pending", "waits for the job before it"),
        "403": ("pending", "waits for the next round of scheduling"),
        "404": ("pending", "as many jobs run as may"),
        "405": ("pending", "waits for free nodes"),
        "406": ("pending", "waits for free nodes"),
        "407": ("pending", "is held by its owner: bresume"),
        "408": ("running", "is suspended by its owner"),
        "409": ("running", "is suspended by the scheduler"),
        "410": ("ended", "ended well"),
        "411": ("ended", "ended with an exit code"),
        "412": ("unknown", "the scheduler has lost sight of it"),
        "413": ("ended", "its node does not answer"),
        "414": ("pending", "its nodes are starting"),
        "415": ("pending", "waits"),
        "416": ("unknown", "LSF says FLOATS"),
    }


def test_what_it_no_longer_knows_and_what_people_type() -> None:
    assert LSF.forgot("Job <9> is not found")
    assert not LSF.forgot("LSF is down. Please wait ...")
    assert LSF.known_id("12") == "12"
    with pytest.raises(OutputError, match="no job id"):
        LSF.known_id("12)")
