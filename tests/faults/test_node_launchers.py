"""Jobs whose ranks no signal reaches: pdsh's nodes look for files, torchrun's ranks for node.sh."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit.layout import RankPlace
from neox.submit.plan import Plan, Watch
from neox.submit.processes import start_time
from tests.golden.cases import plan_for
from tests.submit.stand_ins import Machine, descendants_of, ended, machine, until

SHORT = Watch(start=30, step=2, save=4, evaluate=30, look=1, stacks=1, mercy=3)
by_launcher = pytest.mark.parametrize("name", ["pdsh", "torchrun"])


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Machine:
    return machine(tmp_path)


def job(here: Machine, name: str, watch: Watch = SHORT) -> Plan:
    """A shipped site's own launch of two ranks on one node."""
    made = plan_for(name, 1)
    places = (RankPlace(local_rank=i, gpu=None, cores=(i,), numa=0, nic=None) for i in range(2))
    return dataclasses.replace(
        made,
        run=RunPaths(here.run),
        python=here.python,
        layout=tuple(places),
        watch=watch,
        request=dataclasses.replace(made.request, cwd=here.folder),
    )


def nothing_is_left(family: list[int]) -> None:
    until(lambda: all(start_time(pid) is None for pid in family), "a process is left")


@by_launcher
def test_every_rank_of_a_hang_prints_its_stack(here: Machine, name: str) -> None:
    here.submit(job(here, name))
    running = here.start(FAKE_END="hang")
    here.wait_for("phase.step.1")
    family = descendants_of(running.pid)
    code, printed = ended(running)
    assert code == 75, printed
    assert "job.sh: a hang" in printed
    for rank in range(2):
        (log,) = (here.run / "logs").glob(f"*.{rank}.log")
        assert "in waits_for_its_peers" in log.read_text(), rank
    nothing_is_left(family)


@by_launcher
def test_a_cancelled_job_ends_its_ranks(here: Machine, name: str) -> None:
    here.submit(job(here, name))
    running = here.start(FAKE_END="stop")
    here.wait_for("phase.step.1")
    family = descendants_of(running.pid)
    running.send_signal(signal.SIGTERM)
    code, printed = ended(running)
    assert code != 0, printed
    nothing_is_left(family)


def test_ranks_end_when_the_way_to_them_is_gone(here: Machine) -> None:
    """pdsh killed: the end of its input is all that a node hears."""
    here.submit(job(here, "pdsh"))
    running = here.start(FAKE_END="stop")
    here.wait_for("phase.step.1")
    family = descendants_of(running.pid)
    (way,) = [pid for pid in family if is_way(pid)]
    os.kill(way, signal.SIGKILL)
    code, printed = ended(running)
    assert code == 75, printed
    nothing_is_left([pid for pid in family if pid != way])


def is_way(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return any(word.endswith(b"/bin/pdsh") for word in words)


@pytest.mark.parametrize("name", ["mpich", "pdsh"])
def test_a_launcher_that_lets_ranks_wait_for_a_dead_one_is_ended(here: Machine, name: str) -> None:
    here.submit(job(here, name, dataclasses.replace(SHORT, step=60)))
    running = here.start(FAKE_END="exit 7", FAKE_RANK="1")
    here.wait_for("phase.step.0")
    family = descendants_of(running.pid)
    code, printed = ended(running)
    assert "a rank failed; " in printed
    assert code not in (0, 85), printed
    nothing_is_left(family)


@by_launcher
def test_no_path_is_read_as_anything_else(tmp_path: Path, name: str) -> None:
    """pdsh replaces %h and %n in its arguments, and ssh hands its words to a shell."""
    odd = tmp_path / "a %h $(touch no) 'b %n%"
    odd.mkdir()
    here = machine(odd)
    here.submit(job(here, name))
    code, printed = here.finish(FAKE_END="done")
    assert code == 0, printed
    assert (here.state / "argv.1").exists()
    assert not (odd / "no").exists()
