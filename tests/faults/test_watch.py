"""Rank 0 falls silent: job.sh finds it, asks for stacks, ends the ranks and leaves with 75."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from neox.submit.plan import Plan, Watch
from neox.submit.processes import start_time
from neox.submit.walltime import Pace
from neox.submit.watch import watch_limits
from tests.submit import plans
from tests.submit.stand_ins import Machine, descendants_of, ended, machine, until

SHORT = Watch(start=30, step=2, save=4, evaluate=30, look=1, stacks=1, mercy=1)
by_site = pytest.mark.parametrize("name", ["slurm", "lsf", "openmpi", "local"])


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Machine:
    return machine(tmp_path)


def watched(here: Machine, name: plans.SiteName, **limits: int) -> Plan:
    watch = dataclasses.replace(SHORT, **limits)
    return plans.plan(here.run, name, python=here.python, watch=watch)


@by_site
@pytest.mark.parametrize("end", ["hang", "freeze"])
def test_a_silent_rank_is_found_and_its_stack_is_in_the_log(
    here: Machine, name: plans.SiteName, end: str
) -> None:
    here.submit(watched(here, name))
    job = here.start(FAKE_END=end)
    here.wait_for("phase.step.0")
    family = descendants_of(job.pid)
    code, printed = ended(job)
    assert code == 75, printed
    assert "job.sh: a hang: no sign of life for 2 s (phase step, step 7)" in printed
    assert ":0] " in printed and "in waits_for_its_peers" in printed
    (log,) = (here.run / "logs").glob("*.0.log")
    assert "in waits_for_its_peers" in log.read_text()
    until(lambda: all(start_time(pid) is None for pid in family), "a process is left")
    (link,) = (here.state / "links.jsonl").read_text().splitlines()
    assert "a hang" in json.loads(link)["reason"]
    assert not (here.state / "halt").exists()  # the next link tries


def test_the_next_link_goes_on(here: Machine) -> None:
    plan = watched(here, "slurm")
    for link in (1, 2):
        here.submit(plan, link=link)
    assert here.finish(FAKE_END="hang")[0] == 75
    assert here.finish(2, FAKE_END="done", SLURM_JOB_ID="4712")[0] == 0


def test_each_phase_has_its_own_patience(here: Machine) -> None:
    """A save may be silent for longer than a step; twenty long steps for longer than the least."""
    here.submit(watched(here, "slurm", steps=3))
    for heartbeat, seconds in (("save 7 0", 4), ("step 7 1", 3)):
        began = time.monotonic()
        code, printed = here.finish(FAKE_END="hang", FAKE_HEARTBEAT=heartbeat)
        assert (code, f"for {seconds} s" in printed) == (75, True), printed
        assert time.monotonic() - began > seconds


def test_a_start_that_never_ends(here: Machine) -> None:
    here.submit(watched(here, "slurm", start=2))
    code, printed = here.finish(FAKE_START="60")
    assert code == 75
    assert "(phase start, step 0)" in printed


def test_who_shows_life_is_left_alone(here: Machine) -> None:
    here.submit(watched(here, "slurm"))
    job = here.start(FAKE_END="stop")
    for number in range(8):
        time.sleep(0.5)
        (here.state / "heartbeat").write_text(f"step {number} 0")
    (here.state / "stop").touch()
    assert ended(job)[0] == 85


def test_the_watch_ends_with_the_ranks(here: Machine) -> None:
    here.submit(watched(here, "slurm", look=30))
    job = here.start(FAKE_END="done", FAKE_START="0.5")
    here.wait_for("phase.start.0")
    family = descendants_of(job.pid)
    assert ended(job)[0] == 0
    until(lambda: all(start_time(pid) is None for pid in family), "the watch is left", 3)


def test_limits_grow_with_the_estimates() -> None:
    quick, slow = (watch_limits(2, Pace(step_seconds=s, save_seconds=4 * s)) for s in (1.0, 100.0))
    assert (quick.step, quick.save, quick.evaluate) == (600, 1800, 1800)
    assert (slow.step, slow.save, slow.evaluate) == (600, 4000, 2000)
    assert slow.start > quick.start > 1800
