"""No scheduler: a job is a process of this machine, and its id is the process number.

`neox-submit` starts job.sh detached; a later link waits for the process of the one before it.
"""

from dataclasses import dataclass
from pathlib import Path

from neox.submit.plan import Directive
from neox.submit.quoting import QuotingError
from neox.submit.schedulers.scheduler import Argv, JobParts, JobState, JobStatus, OutputError

# ps(1), PROCESS STATE CODES
_STATES: dict[str, tuple[JobState, str]] = {
    "R": ("running", "runs"),
    "S": ("running", "runs"),
    "D": ("running", "waits for a disk"),
    "I": ("running", "runs"),
    "T": ("running", "is stopped: kill -CONT"),
    "t": ("running", "is held by a debugger"),
    "Z": ("ended", "ended"),
    "X": ("ended", "ended"),
}


@dataclass(frozen=True)
class Local:
    """The Scheduler protocol without a scheduler."""

    prefix: str = ""

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        if parts.extra:
            raise QuotingError(
                f"directive: {parts.extra[0]!r} is for a scheduler, and {parts.site.name} has "
                f"none; leave --directive out"
            )
        return ()

    def submit_argv(self, script: Path, after: str | None = None) -> Argv:  # noqa: ARG002
        """The process to start detached; what it waits for reaches it as NEOX_AFTER."""
        return ("bash", str(script))

    def parse_job_id(self, stdout: str) -> str:
        job_id = stdout.strip()
        if not job_id.isdecimal():
            raise OutputError(f"{stdout.strip()[:200]!r} is not a process number")
        return job_id

    def status_argv(self, job_ids: tuple[str, ...]) -> Argv:
        return ("ps", "-o", "pid=,stat=,comm=", "-p", ",".join(job_ids))

    def history_argv(self, job_ids: tuple[str, ...]) -> Argv | None:  # noqa: ARG002
        return None

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        rows = (line.split(maxsplit=2) for line in stdout.splitlines())
        return tuple(_status(*row[:2]) for row in rows if len(row) >= 2 and row[0].isdecimal())

    def cancel_argv(self, job_id: str) -> Argv:
        return ("kill", "-TERM", job_id)


def _status(job_id: str, native: str) -> JobStatus:
    """`native` is a state letter and flags: "Ss+"."""
    ours, words = _STATES.get(native[0], ("unknown", f"ps says {native}"))
    return JobStatus(id=job_id, state=ours, reason=words, native=native)
