"""The real job.sh under bash, with stand-ins: signals in every phase, codes, and owners."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neox.sites.profile import Modules
from neox.submit.plan import Plan
from neox.submit.processes import start_time
from tests.submit import plans
from tests.submit.stand_ins import Machine, descendants_of, ended, machine, until

MODULES = Modules(reset="module reset", load=("rocm/7.1.1", "plugin"))


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Machine:
    """A machine on which `neox end-link` does not run: job.sh's own rules decide."""
    made = machine(tmp_path)
    made.environ["FAKE_NO_END"] = "yes"
    return made


def slurm(here: Machine, **changes: object) -> Plan:
    return plans.plan(here.run, "slurm", python=here.python, **changes)  # type: ignore[arg-type]


def local(here: Machine, **changes: object) -> Plan:
    return plans.plan(here.run, "local", python=here.python, **changes)  # type: ignore[arg-type]


# --- the signal --------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["modules", "start", "step", "save"])
@pytest.mark.parametrize("times", [1, 3])
def test_the_signal_ends_in_a_save_whenever_it_comes(here: Machine, phase: str, times: int) -> None:
    here.submit(slurm(here, modules=MODULES))
    job = here.start(FAKE_END="stop", FAKE_MODULES="0.1", FAKE_START="0.2", FAKE_SAVE="0.3")
    if phase == "save":
        here.wait_for("phase.step.0")
        (here.state / "stop").touch()
    here.wait_for(f"phase.{phase}.0")
    for _ in range(times):
        job.send_signal(signal.SIGUSR2)
        time.sleep(0.05)
    code, printed = ended(job)
    assert code == 85, printed
    assert (here.state / "saved.4711").exists()
    assert not (here.state / "owner").exists()


@pytest.mark.parametrize("name", ["slurm", "lsf", "pbs", "flux", "openmpi", "local"])
def test_a_signal_as_the_ranks_leave_changes_no_code(here: Machine, name: plans.SiteName) -> None:
    here.submit(plans.plan(here.run, name, python=here.python))
    job = here.start(FAKE_END="done", FAKE_EXIT="0.2")
    here.wait_for("phase.exit.1")
    while job.poll() is None:  # also while `wait` is being interrupted
        job.send_signal(signal.SIGUSR2)
        time.sleep(0.01)
    assert ended(job)[0] == 0


def test_a_burst_of_signals_cannot_fail(here: Machine) -> None:
    """The failure's own code comes out although every wait was interrupted."""
    here.submit(slurm(here))
    job = here.start(FAKE_END="exit 139", FAKE_START="0.4")
    here.wait_for("phase.start.0")
    while job.poll() is None:
        job.send_signal(signal.SIGUSR2)
        time.sleep(0.005)
    assert ended(job)[0] == 75


def test_a_signal_when_the_state_cannot_be_written(here: Machine) -> None:
    """A folder where the file should be: the trap says so, and the job goes on."""
    here.submit(slurm(here))
    job = here.start(FAKE_END="done", FAKE_START="0.5")
    here.wait_for("phase.start.0")
    (here.state / "stop").mkdir()
    job.send_signal(signal.SIGUSR2)
    code, printed = ended(job)
    assert code == 0
    assert "job.sh: cannot write" in printed


def test_ranks_do_not_die_of_the_signal(here: Machine) -> None:
    """LSF signals launcher and ranks, too."""
    here.submit(plans.plan(here.run, "lsf", python=here.python))
    job = here.start(FAKE_END="stop", FAKE_START="0.3")
    here.wait_for("phase.start.1")
    for child in descendants_of(job.pid):
        os.kill(child, signal.SIGUSR2)
    job.send_signal(signal.SIGUSR2)
    assert ended(job)[0] == 85


def test_a_rank_ignores_the_signal_whoever_starts_it(here: Machine) -> None:
    here.submit(slurm(here))
    environ = {**here.environ, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2"}
    environ |= {"NEOX_JOB_ID": "4711", "MASTER_ADDR": "a", "MASTER_PORT": "20001"}
    environ["FAKE_START"] = "0.3"
    rank = subprocess.Popen([here.run / "links/1/rank.sh"], env=environ)
    here.wait_for("phase.start.0")
    for pid in (rank.pid, *descendants_of(rank.pid)):
        os.kill(pid, signal.SIGUSR2)
    assert rank.wait(20) == 0


def test_a_signal_before_the_job_owns_its_run_is_remembered(here: Machine) -> None:
    """And it does not stop the link before this one, which owns the run until then."""
    before = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
    here.submit(local(here))
    job = here.start(NEOX_AFTER=f"{before.pid}:{start_time(before.pid)}", FAKE_END="stop")
    time.sleep(0.5)
    job.send_signal(signal.SIGUSR2)
    time.sleep(0.3)
    assert not (here.state / "stop").exists()
    before.wait()
    assert ended(job)[0] == 85


# --- the job's code ----------------------------------------------------------------------------


by_rules_of = pytest.mark.parametrize("rules", ["job.sh", "neox end-link"])


def choose(here: Machine, rules: str) -> None:
    if rules == "neox end-link":
        del here.environ["FAKE_NO_END"]


@by_rules_of
@pytest.mark.parametrize("code", [1, 2, 3, 16, 17, 75])
def test_the_code_of_the_rank_that_failed_first_passes_through(
    here: Machine, code: int, rules: str
) -> None:
    here.submit(slurm(here))
    choose(here, rules)
    ended_with, printed = here.finish(FAKE_END=f"code {code}", FAKE_RANK="1")
    assert ended_with == code, printed
    assert (here.state / "halt").exists() == (code in (2, 3, 16, 17))
    assert ":1] the last line" in printed


@by_rules_of
@pytest.mark.parametrize(
    ("end", "code"),
    [("die 9", 75), ("die 11", 75), ("exit 42", 75), ("exit 0", 1), ("done", 0), ("saved", 85)],
)
def test_ends_that_left_no_failure(here: Machine, end: str, code: int, rules: str) -> None:
    here.submit(slurm(here))
    choose(here, rules)
    assert here.finish(FAKE_END=end)[0] == code
    assert (here.state / "links.jsonl").exists() == (rules == "neox end-link")


def test_two_links_without_progress_start_no_third(here: Machine) -> None:
    here.submit(slurm(here))
    choose(here, "neox end-link")
    assert here.finish(FAKE_END="die 9")[0] == 75
    assert not (here.state / "halt").exists()
    assert here.finish(FAKE_END="die 9", SLURM_JOB_ID="4712")[0] == 75
    assert "moved no checkpoint" in (here.state / "halt").read_text()


def test_a_job_without_a_chain_ends_with_its_entrys_code(here: Machine) -> None:
    here.submit(slurm(here, signal=False))
    (here.state / "done").touch()  # of the training that it looks at
    assert here.finish(FAKE_END="exit 0")[0] == 0
    assert here.finish(FAKE_END="code 3")[0] == 3
    assert not (here.state / "halt").exists()


@pytest.mark.parametrize("file", ["done", "halt"])
def test_a_link_with_nothing_left_to_do(here: Machine, file: str) -> None:
    here.submit(slurm(here))
    (here.state / file).touch()
    assert here.finish()[0] == 0
    assert not (here.state / "launch").exists()


def test_a_stale_stop_does_not_stop_the_next_link(here: Machine) -> None:
    here.submit(slurm(here))
    (here.state / "stop").touch()
    (here.state / "saved.4711").touch()
    assert here.finish(FAKE_END="exit 0")[0] == 1


@pytest.mark.parametrize("trouble", ["gone module", "no python", "no module command"])
def test_what_is_missing_is_refused_by_name(here: Machine, trouble: str) -> None:
    modules = Modules(load=("gone-plugin",)) if trouble != "no python" else None
    python = "/no/python" if trouble == "no python" else here.python
    here.submit(plans.plan(here.run, "slurm", python=python, modules=modules))
    if trouble == "no module command":
        del here.environ["BASH_FUNC_module%%"]
    code, printed = here.finish()
    wanted = {
        "gone module": "module gone-plugin is not there any more",
        "no python": "no Python at /no/python",
        "no module command": "this shell has no module command",
    }
    assert code == 4
    assert printed.startswith(f"job.sh: {wanted[trouble]}")
    assert len(printed.splitlines()) == 1
    assert "code 4" in (here.state / "halt").read_text()


def test_a_variable_that_its_module_did_not_set(here: Machine) -> None:
    here.submit(slurm(here, modules=Modules(prepend={"LD_LIBRARY_PATH": ("$CRAY", "/lib a")})))
    code, printed = here.finish()
    assert (code, printed.split(":")[0]) == (4, "job.sh")
    assert here.finish(CRAY="/cray")[0] == 0  # halt of the first: nothing to do
    (here.state / "halt").unlink()
    here.finish(CRAY="/cray", LD_LIBRARY_PATH="/before")
    assert "LD_LIBRARY_PATH=/cray:/lib a:/before" in environment(here)


def environment(here: Machine, rank: int = 0) -> list[str]:
    return (here.state / f"env.{rank}").read_text().split("\0")


def test_a_failing_line_is_named(here: Machine) -> None:
    here.submit(slurm(here))
    (here.folder / "bin" / "scontrol").write_text("#!/bin/bash\nexit 7\n")
    code, printed = here.finish()
    assert code == 1
    assert "job.sh: line" in printed and "scontrol show hostnames" in printed


@pytest.mark.slow
def test_a_failed_rank_is_waited_for_and_the_others_ended(here: Machine) -> None:
    """Without a launcher of the system's, job.sh itself ends the ranks that are left."""
    here.submit(local(here))
    began = time.monotonic()
    assert here.finish(FAKE_END="die 9", FAKE_RANK="1")[0] == 75
    assert 9 < time.monotonic() - began < 20  # the others' grace


@pytest.mark.parametrize("name", ["slurm", "local"])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_cancelled_job_leaves_nothing_behind(
    here: Machine, name: plans.SiteName, sent: signal.Signals
) -> None:
    here.submit(plans.plan(here.run, name, python=here.python))
    job = here.start(FAKE_END="stop")
    here.wait_for("phase.step.0")
    here.wait_for("phase.step.1")
    family = descendants_of(job.pid)
    job.send_signal(sent)
    code, _ = ended(job)
    assert code == 75
    until(lambda: all(start_time(pid) is None for pid in family), "a process is left")
    assert not (here.state / "owner").exists()


# --- the timer ---------------------------------------------------------------------------------


def test_the_timer_stops_a_job_that_nobody_warns(here: Machine) -> None:
    here.submit(local(here, seconds=301, lead_seconds=300))
    job = here.start(FAKE_END="stop")
    here.wait_for("phase.step.0")
    family = descendants_of(job.pid)
    assert ended(job)[0] == 85
    until(lambda: all(start_time(pid) is None for pid in family), "the timer is left")


@pytest.mark.parametrize("name", ["pbs", "flux"])
def test_schedulers_that_warn_nobody_leave_it_to_the_timer(
    here: Machine, name: plans.SiteName
) -> None:
    here.submit(plans.plan(here.run, name, python=here.python, seconds=2, lead_seconds=1))
    code, printed = here.finish(FAKE_END="stop")
    assert code == 85, printed
    assert (here.state / "saved.4711").exists()


def test_a_job_that_does_not_heed_the_timer_is_ended(here: Machine) -> None:
    here.submit(local(here, seconds=2, lead_seconds=1))
    assert here.finish(FAKE_END="done", FAKE_START="60")[0] == 75


# --- owners ------------------------------------------------------------------------------------


def own(here: Machine, line: str) -> None:
    """Put "JOB RESTART HOST PID START" there as the owner."""
    (here.state / "owner").mkdir()
    (here.state / "owner" / "job").write_text(line + "\n")


def test_a_second_live_job_is_refused_and_harms_nothing(here: Machine) -> None:
    here.submit(local(here))
    first = here.start(FAKE_END="stop")
    here.wait_for("phase.step.0")
    second = here.start()
    code, printed = ended(second)
    assert code == 4
    assert f"job {first.pid} on" in printed
    assert not (here.state / "stop").exists() and not (here.state / "halt").exists()
    first.send_signal(signal.SIGUSR2)
    assert ended(first)[0] == 85


@pytest.mark.parametrize(
    ("state", "code"),
    [("RUNNING", 4), ("SUSPENDED", 4), ("COMPLETED", 0), ("PENDING", 0), ("", 0)],
)
def test_the_scheduler_is_asked_about_the_owner(here: Machine, state: str, code: int) -> None:
    own(here, "4000 0 elsewhere 1 1")
    here.submit(slurm(here))
    assert here.finish(FAKE_STATE=state)[0] == code


QSTAT = "Job Id: 4000.pbs01\n    job_state = {}\n    Variable_List = A=job_state = R"


@pytest.mark.parametrize(
    ("name", "answer", "code"),
    [
        ("pbs", QSTAT.format("R"), 4),
        ("pbs", QSTAT.format("S"), 4),
        ("pbs", QSTAT.format("Q"), 0),
        ("pbs", QSTAT.format("F"), 0),
        ("pbs", "qstat: Unknown Job Id 4000.pbs01", 0),
        ("pbs", "qstat: 4000.pbs01 Job has finished, use -x or -H to obtain ...", 0),
        ("flux", "RUN", 4),
        ("flux", "SCHED", 0),
        ("flux", "INACTIVE", 0),
        ("flux", "flux-jobs: ERROR: JobID 4000 unknown", 0),
    ],
)
def test_pbs_and_flux_are_asked_about_the_owner(
    here: Machine, name: plans.SiteName, answer: str, code: int
) -> None:
    own(here, "4000 0 elsewhere 1 1")
    here.submit(plans.plan(here.run, name, python=here.python))
    said = "1" if "4000 " in answer else "0"
    assert here.finish(FAKE_STATE=answer, FAKE_STATE_CODE=said)[0] == code


def test_an_unknown_job_is_dead_and_a_silent_scheduler_decides_nothing(here: Machine) -> None:
    own(here, "4000 0 elsewhere 1 1")
    here.submit(slurm(here))
    error = "slurm_load_jobs error: Invalid job id specified"
    assert here.finish(FAKE_STATE=error, FAKE_STATE_CODE="1")[0] == 0


def test_this_job_before_its_restart_is_dead(here: Machine) -> None:
    own(here, f"4711 0 {os.uname().nodename} {os.getpid()} {start_time(os.getpid())}")
    here.submit(slurm(here))
    assert here.finish(SLURM_RESTART_COUNT="1")[0] == 0


def test_a_killed_local_job_is_replaced(here: Machine) -> None:
    here.submit(local(here))
    first = here.start(FAKE_END="stop")
    here.wait_for("phase.step.0")
    family = descendants_of(first.pid)
    first.kill()
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    first.communicate(timeout=10)
    assert (here.state / "owner").exists()
    assert here.finish(FAKE_END="done")[0] == 0


def test_many_jobs_that_find_a_dead_owner_take_it_once(here: Machine) -> None:
    here.submit(local(here))
    own(here, f"999999 0 {os.uname().nodename} 999999 1")
    jobs = [here.start(FAKE_END="stop") for _ in range(6)]
    until(lambda: sum(job.poll() == 4 for job in jobs) == 5, "five of six are refused", 30)
    (alive,) = [job for job in jobs if job.poll() is None]
    alive.send_signal(signal.SIGUSR2)
    assert sorted(ended(job)[0] for job in jobs) == [4, 4, 4, 4, 4, 85]


def test_a_local_link_waits_for_the_one_before_it(here: Machine) -> None:
    before = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
    here.submit(local(here), link=2)
    began = time.monotonic()
    job = here.start(2, NEOX_AFTER=f"{before.pid}:{start_time(before.pid)}")
    time.sleep(0.5)
    assert not (here.state / "owner").exists()
    before.wait()
    assert ended(job)[0] == 0
    assert time.monotonic() - began > 1.4
    assert not any(line.startswith("NEOX_AFTER=") for line in environment(here))
