"""Flux's dialect, on a machine like Tuolumne."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.sites.profile import Profile
from neox.submit.schedulers.flux import Flux
from neox.submit.schedulers.scheduler import OutputError
from tests.submit.askings import ask, plan, site
from tests.submit.schedulers.answers import states

FLUX = Flux()
REQUEST = replace(ask("slurm", "pythia/14M"), account="guests")


def machine(**changes: object) -> Profile:
    slurm = site("slurm")
    asked = replace(
        slurm.scheduler, kind="flux", whole_node="--exclusive", gpus_line=None, memory_line=None
    )
    queue = replace(slurm.queues[0], name="pbatch", select="queue", **changes)  # type: ignore[arg-type]
    launcher = replace(slurm.launcher, master="flux-first-host")
    timed = replace(slurm.signal, how="timer")
    return replace(slurm, scheduler=asked, queues=(queue,), launcher=launcher, signal=timed)


def texts(profile: Profile | None = None, **changes: object) -> list[str]:
    made = plan(REQUEST, profile or machine(), **changes)
    return [directive.text for directive in made.directives]


def test_header_line_by_line() -> None:
    assert texts(nodes=16, seconds=5400) == [
        "--job-name=14M",
        "--setattr=bank=guests",
        "--queue=pbatch",
        "--nodes=16",
        "--exclusive",
        "--time-limit=90m",
        "--output=/lustre/here/runs/14M/logs/{{id.dec}}.out",
    ]


def test_a_share_of_a_node_its_properties_and_a_persons_directives() -> None:
    shared = machine(exclusive=False, features=("mi300a", "ssd"))
    request = replace(REQUEST, overrides=("num_gpus=2",), directives=("urgency=20",))
    lines = [d.text for d in plan(request, shared, nodes=2).directives]
    assert lines[3:7] == ["--requires=mi300a&ssd", "--nodes=2", "--nslots=4", "--cores-per-slot=4"]
    assert lines[-1] == "--urgency=20"


def test_commands() -> None:
    script = Path("/r/job.sh")
    assert FLUX.submit_argv(script) == ("flux", "batch", "/r/job.sh")
    waits = ("--dependency=afterany:7", "--dependency=afterany:8")
    assert FLUX.submit_argv(script, after=("7", "8")) == ("flux", "batch", *waits, "/r/job.sh")
    assert FLUX.cancel_argv("7") == ("flux", "cancel", "7")


@pytest.mark.parametrize(
    ("said", "job_id"),
    [
        # RFC 19, "F58": test vectors
        ("f1\n", "0"),
        ("\u01922\n", "1"),
        ("fjpXCZedGfVQ\n", "18446744073709551615"),
        ("f2g\n", "97"),
        ("6731191091817518\n", "6731191091817518"),
    ],
)
def test_job_id(said: str, job_id: str) -> None:
    assert FLUX.parse_job_id(said) == job_id


@pytest.mark.parametrize("said", ["", "flux-batch: ERROR: queue is disabled\n", "f0OIl\n"])
def test_no_job_id(said: str) -> None:
    with pytest.raises(OutputError, match="names no job"):
        FLUX.parse_job_id(said)


def test_states_in_plain_words() -> None:
    assert states(FLUX, "flux-0.6x.jobs") == {
        "501": ("pending", "waits for the job before it"),
        "502": ("pending", "waits for free nodes"),
        "503": ("pending", "is held: flux job urgency JOB default"),
        "504": ("running", "runs"),
        "505": ("running", "is ending"),
        "506": ("ended", "ended well"),
        "507": ("ended", "ended with exit code 85"),
        "508": ("ended", "was cancelled"),
        "509": ("ended", "ran into its time limit"),
        "510": ("ended", "ended by node-failure: lost contact with tuolumne1007"),
        "511": ("ended", "ended by dependency: afterok: job 506 failed"),
        "512": ("pending", "waits for its priority"),
        "513": ("unknown", "Flux says WANDERS"),
    }


def test_what_it_no_longer_knows() -> None:
    assert FLUX.forgot("flux-jobs: ERROR: JobID 9 unknown")
    assert not FLUX.forgot("flux-jobs: ERROR: Unable to connect to Flux: broker socket not found")
