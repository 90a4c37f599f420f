import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neox.submit.processes import Process, parse_process, process
from neox.submit.refusal import SchedulerError
from neox.submit.runner import SystemRunner, clean_environment

INSIDE_AN_ALLOCATION = {
    "SLURM_JOB_ID": "7",
    "SLURM_CPU_BIND": "mask_cpu:1",
    "SLURM_NTASKS": "1",
    "SBATCH_EXPORT": "NONE",
    "SALLOC_PARTITION": "debug",
    "SRUN_CPUS_PER_TASK": "2",
    "LSB_JOBID": "8",
    "PBS_JOBID": "9",
    "OMPI_COMM_WORLD_RANK": "0",
    "PMI_RANK": "0",
    "PMIX_RANK": "0",
    "FLUX_JOB_ID": "f",
    "SQUEUE_PARTITION": "debug",  # a job of another partition would look as if it were gone
    "SACCT_FORMAT": "jobid",
}
KEPT = {
    "SLURM_CONF": "/etc/slurm.conf",
    "PBS_SERVER": "pbs01",
    "PATH": os.environ["PATH"],
    "LS_COLORS": "x",
}


def test_a_job_inherits_nothing_of_the_allocation_it_is_submitted_from() -> None:
    assert clean_environment({**INSIDE_AN_ALLOCATION, **KEPT}) == KEPT


def test_inside_an_allocation_only_its_name_stays() -> None:
    kept = clean_environment({**INSIDE_AN_ALLOCATION, **KEPT}, inside=True)
    assert kept == {**KEPT, "SLURM_JOB_ID": "7", "LSB_JOBID": "8", "PBS_JOBID": "9"}


def test_the_real_process_gets_the_clean_environment_and_its_arguments_as_they_are() -> None:
    runner = SystemRunner({**INSIDE_AN_ALLOCATION, **KEPT})
    hostile = ("a b", "$(touch x)", "'\"`;\\", "-n", "%", "é")
    show = "import os, sys; print(sys.argv[1:]); print(sorted(os.environ))"
    done = runner.run((sys.executable, "-c", show, *hostile))
    argv, names = done.stdout.splitlines()
    assert argv == str(list(hostile))
    assert not any(name in names for name in INSIDE_AN_ALLOCATION)


def test_a_missing_command_is_one_clear_line() -> None:
    with pytest.raises(SchedulerError, match=r"nosuchbatch is not on this machine's PATH") as error:
        SystemRunner(KEPT).run(("nosuchbatch", "--parsable"))
    assert "--print" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_command_that_hangs_is_given_up() -> None:
    with pytest.raises(SchedulerError, match=r"sleep 30 gave no answer within 0.2 s"):
        SystemRunner(KEPT).run(("sleep", "30"), timeout=0.2)


def test_a_detached_process_outlives_its_starter_and_writes_its_own_log(tmp_path: Path) -> None:
    script = "echo $NEOX_AFTER; sleep 0.5; echo done"
    extra = {"NEOX_AFTER": "12:34"}
    runner = SystemRunner(KEPT)
    started = runner.detach(("bash", "-c", script), cwd=tmp_path, logs=tmp_path, extra=extra)
    assert started.alive
    assert os.getsid(started.pid) == started.pid  # a session of its own
    assert started.wait(10)
    assert (tmp_path / f"{started.pid}.out").read_text() == "12:34\ndone\n"
    assert [path.name for path in tmp_path.iterdir()] == [f"{started.pid}.out"]


def test_a_pid_with_another_start_time_is_another_process() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        real = process(child.pid)
        assert real is not None
        assert parse_process(str(real)) == real
        impostor = Process(real.pid, real.started + 1)
        assert not impostor.alive
        assert not impostor.signal(signal.SIGKILL)
        time.sleep(0.1)
        assert real.alive
        assert real.signal(signal.SIGTERM)
        child.wait(10)
    assert not real.alive
