"""PBS's dialect, on a machine like Polaris."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.sites.profile import Profile
from neox.submit.schedulers.pbs import Pbs
from neox.submit.schedulers.scheduler import OutputError
from tests.submit.askings import ask, plan, site
from tests.submit.schedulers.answers import states

PBS = Pbs()
REQUEST = replace(ask("slurm", "pythia/14M"), account="neox")


def machine(**changes: object) -> Profile:
    slurm = site("slurm")
    asked = replace(
        slurm.scheduler,
        kind="pbs",
        chunk=("system=polaris", "ncpus={cpus}", "ngpus={gpus}"),
        whole_node="-l place=scatter",
        directives=("-l filesystems=home:eagle",),
        gpus_line=None,
        memory_line=None,
    )
    queue = replace(slurm.queues[0], name="prod", select="queue", **changes)  # type: ignore[arg-type]
    launcher = replace(slurm.launcher, master="pbs-nodefile")
    timed = replace(slurm.signal, how="timer")
    return replace(slurm, scheduler=asked, queues=(queue,), launcher=launcher, signal=timed)


def texts(profile: Profile | None = None, **changes: object) -> list[str]:
    made = plan(REQUEST, profile or machine(), **changes)
    return [directive.text for directive in made.directives]


def test_header_line_by_line() -> None:
    assert texts(nodes=16, seconds=7200) == [
        "-S /bin/bash",
        "-N 14M",
        "-A neox",
        "-q prod",
        "-l select=16:system=polaris:ncpus=8",  # no GPU in this node
        "-l place=scatter",
        "-l walltime=2:00:00",
        "-r n",
        "-l filesystems=home:eagle",
        "-j oe",
        "-o /lustre/here/runs/14M/logs/",
    ]


def test_a_share_of_a_node_and_its_features() -> None:
    shared = machine(exclusive=False, features=("ssd=True",))
    request = replace(REQUEST, overrides=("num_gpus=2",))
    lines = [d.text for d in plan(request, shared).directives]
    assert "-l select=1:system=polaris:ncpus=8:ssd=True" in lines
    assert "-l place=scatter" in lines


def test_gpus_of_the_node_where_the_job_uses_them() -> None:
    frontier = site("frontier")
    gpus = replace(machine(), node_types=frontier.node_types)
    made = plan(replace(REQUEST, configs=ask("frontier").configs), gpus, nodes=12)
    assert "-l select=12:system=polaris:ncpus=56:ngpus=8" in [d.text for d in made.directives]


def test_rerun_and_a_persons_directives() -> None:
    profile = replace(machine(), requeue=True)
    lines = texts(profile, directives=("W=umask=027", "singularity_fakeroot=true", "h"))
    assert "-r y" in lines
    assert lines[-3:] == ["-W umask=027", "-l singularity_fakeroot=true", "-h"]


def test_commands() -> None:
    script = Path("/r/job.sh")
    assert PBS.submit_argv(script) == ("qsub", "/r/job.sh")
    waits = ("qsub", "-W", "depend=afterany:7:8", "/r/job.sh")
    assert PBS.submit_argv(script, after=("7", "8")) == waits
    assert PBS.cancel_argv("7") == ("qdel", "7")


@pytest.mark.parametrize(
    ("said", "job_id"),
    [
        ("1234.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov\n", "1234"),
        ("note of the site\n1234.pbs01\n", "1234"),
        ("1234\n", "1234"),
    ],
)
def test_job_id(said: str, job_id: str) -> None:
    assert PBS.parse_job_id(said) == job_id


@pytest.mark.parametrize("said", ["", "qsub: Unknown queue\n", "12;34\n"])
def test_no_job_id(said: str) -> None:
    with pytest.raises(OutputError, match="names no job"):
        PBS.parse_job_id(said)


def test_ids_as_people_type_them() -> None:
    assert PBS.known_id("1234.pbs01") == "1234"
    assert PBS.known_id("1234[].pbs01") == "1234[]"
    with pytest.raises(OutputError, match="no job id"):
        PBS.known_id("$(touch x)")


def test_live_jobs() -> None:
    assert states(PBS, "pbs-19.qstat") == {
        "68350": ("pending", "waits for free nodes"),
        "68351": ("running", "runs"),
        "68352": ("pending", "waits for the job before it"),
        "68353": ("pending", "is held by its owner: qrls"),
        "68354": ("pending", "is held by PBS, after it could not be started: qrls"),
        "68355": ("pending", "can never run: Not enough total nodes available; cancel it"),
        "68356": ("unknown", "PBS says Z"),
        "68357": ("pending", "you have as many running jobs as this queue allows"),
    }


def test_how_jobs_ended() -> None:
    assert states(PBS, "pbs-2022.qstat-x") == {
        "70001": ("ended", "ended well"),
        "70002": ("ended", "ended with exit code 85"),
        "70003": ("ended", "ended by signal 15"),
        "70004": ("ended", "ran into its time limit"),
        "70005": ("ended", "ended before it ran"),
        "70006": ("ended", "could not start on its nodes"),
        "70007": ("ended", "PBS ended it, with its own code -21"),
    }


def test_what_it_no_longer_knows() -> None:
    assert PBS.forgot("qstat: Unknown Job Id 9.pbs01")
    assert PBS.forgot(
        "qstat: 9.pbs01 Job has finished, use -x or -H to obtain historical job information"
    )
    assert not PBS.forgot("Connection refused\nqstat: cannot connect to server pbs01 (errno=111)")
