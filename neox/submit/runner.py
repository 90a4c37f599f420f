"""The one place where `neox-submit` starts a process. Tests put a stand-in here."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from neox.submit.processes import Process, process
from neox.submit.refusal import RunDirectoryError, SchedulerError

# What a shell inside an allocation carries about it. A job submitted from there would inherit it:
# its ranks then share one core, silently. With them go a person's own defaults for queries: with
# SQUEUE_PARTITION or SACCT_FORMAT a job looks as if it were gone.
OF_AN_ALLOCATION = re.compile(
    r"(SLURM|SBATCH|SALLOC|SRUN|SQUEUE|SACCT|SINFO|LSB|PBS|PALS|OMPI|PMI|PMIX|PRTE|FLUX_JOB)_.*"
)
# where the scheduler is, and what a person allows mpirun: neither says which job this is
KEPT = frozenset(
    {
        "SLURM_CONF",
        "PBS_CONF_FILE",
        "PBS_DEFAULT",
        "PBS_EXEC",
        "PBS_PRIMARY",
        "PBS_SERVER",
        "OMPI_ALLOW_RUN_AS_ROOT",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
    }
)
# Inside one's own allocation (--here) the launcher has to know which one it is, and no more:
# a count or a binding that salloc left behind must not reach a launch line that says its own.
NAMES_THE_ALLOCATION = frozenset(
    {
        "SLURM_JOB_ID",
        "SLURM_JOBID",
        "SLURM_JOB_NODELIST",
        "SLURM_NODELIST",
        "SLURM_JOB_NUM_NODES",
        "SLURM_NNODES",
        "SLURM_JOB_CPUS_PER_NODE",
        "SLURM_TASKS_PER_NODE",
        "SLURM_CLUSTER_NAME",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_ACCOUNT",
        "LSB_JOBID",
        "LSB_DJOB_HOSTFILE",
        "LSB_HOSTS",
        "LSB_MCPU_HOSTS",
        "LSB_DJOB_NUMPROC",
        "PBS_JOBID",
        "PBS_NODEFILE",
        "PBS_JOBCOOKIE",  # with these five Open MPI and PALS start processes through PBS
        "PBS_MOMPORT",
        "PBS_NODENUM",
        "PBS_TASKNUM",
        "PBS_ENVIRONMENT",
    }
)
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command said and how it ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line of what it said, for an error message."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"ended with {self.code} and said nothing"


class Runner(Protocol):
    """What `neox-submit` may ask of the machine."""

    def run(
        self,
        argv: tuple[str, ...],
        *,
        timeout: float = 60,
        stdin: str = "",
        extra: Mapping[str, str] = NOTHING,
    ) -> Finished: ...

    def stay(self, argv: tuple[str, ...], *, cwd: Path, inside: bool = False) -> int: ...

    def detach(
        self, argv: tuple[str, ...], *, cwd: Path, logs: Path, extra: Mapping[str, str]
    ) -> Process: ...


def clean_environment(environ: Mapping[str, str], *, inside: bool = False) -> dict[str, str]:
    """The environment without what an allocation left in it; with `inside`, keep its name."""
    keep = KEPT | NAMES_THE_ALLOCATION if inside else KEPT
    return {
        name: value
        for name, value in environ.items()
        if name in keep or not OF_AN_ALLOCATION.fullmatch(name)
    }


class SystemRunner:
    """Starts real processes, from argument tuples, never through a shell."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def run(
        self,
        argv: tuple[str, ...],
        *,
        timeout: float = 60,
        stdin: str = "",
        extra: Mapping[str, str] = NOTHING,
    ) -> Finished:
        """Run to the end. Raises SchedulerError when it is not there or does not answer."""
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                env={**clean_environment(self._environ), **extra},
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"{shlex.join(argv)} gave no answer within {timeout:g} s; try again later"
            raise SchedulerError(said) from None
        except OSError as error:
            raise SchedulerError(_not_started(argv, error)) from None
        return Finished(argv=argv, code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def stay(self, argv: tuple[str, ...], *, cwd: Path, inside: bool = False) -> int:
        """Run in the foreground, with this terminal; returns the exit code."""
        try:
            with subprocess.Popen(
                argv, cwd=cwd, env=clean_environment(self._environ, inside=inside)
            ) as child:
                return _wait_through_interrupts(child)
        except OSError as error:
            raise SchedulerError(_not_started(argv, error)) from None

    def detach(
        self, argv: tuple[str, ...], *, cwd: Path, logs: Path, extra: Mapping[str, str]
    ) -> Process:
        """Start a process that outlives this one; its output goes to LOGS/PID.out."""
        pending = logs / f".starting.{os.getpid()}"
        try:
            output = pending.open("ab")
        except OSError as error:
            raise RunDirectoryError(f"{logs}: cannot be written: {error.strerror}") from None
        with output:
            try:
                child = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a closed terminal does not end it
                    env={**clean_environment(self._environ), **extra},
                )
            except OSError as error:
                pending.unlink(missing_ok=True)
                raise SchedulerError(_not_started(argv, error)) from None
        pending.rename(logs / f"{child.pid}.out")
        child.returncode = 0  # not waited for: Python would otherwise warn when it goes
        return process(child.pid) or Process(child.pid, 0)


def _wait_through_interrupts(child: "subprocess.Popen[bytes]") -> int:
    """Ctrl-C reaches the child from the terminal too: it decides, and is waited for."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def _not_started(argv: tuple[str, ...], error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"{argv[0]} is not on this machine's PATH: run this where the scheduler's commands "
            "are (a login node), or look at the script alone with --print"
        )
    return f"{argv[0]} cannot be started: {error.strerror}"
