"""A scheduler and a launcher from outside, in about as many lines as one needs."""

from pathlib import Path

from neox.submit.launchers import LaunchParts
from neox.submit.plan import Directive, LaunchPlan
from neox.submit.schedulers.scheduler import JobParts, JobStatus, OutputError, directive
from neox.submit.words import literal

STATES = {"Waiting": "pending", "Running": "running", "Terminated": "ended", "Error": "ended"}


class Oar:
    """OAR: #OAR, oarsub, oarstat, oardel."""

    prefix = "#OAR"
    commands = ("oarsub", "oarstat", "oardel")
    ping = ("oarnodes", "-s")
    templates = Path(__file__).parent

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        hours = f"{parts.seconds // 3600}:{parts.seconds % 3600 // 60:02d}:00"
        wants = f"-l nodes={parts.nodes},walltime={hours}"
        return (directive(f"-n {parts.name}", "--name"), directive(wants, "--nodes"))

    def submit_argv(
        self, script: Path, after: tuple[str, ...] = (), off: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        waits = tuple(word for job_id in after for word in ("-a", job_id))
        others = tuple(word for node in off for word in ("-p", f"host != '{node}'"))
        return ("oarsub", *waits, *others, "-S", str(script))

    def parse_job_id(self, stdout: str) -> str:
        _, found, job_id = stdout.strip().rpartition("OAR_JOB_ID=")
        if not found:
            raise OutputError(f"oarsub answered {stdout!r}")
        return job_id

    def known_id(self, text: str) -> str:
        return text

    def status_argv(self, job_ids: tuple[str, ...]) -> tuple[str, ...]:
        return ("oarstat", "-s", *(word for job_id in job_ids for word in ("-j", job_id)))

    def history_argv(self, job_ids: tuple[str, ...]) -> None:
        return None

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        rows = (line.split(": ") for line in stdout.splitlines() if ": " in line)
        return tuple(
            JobStatus(id=job_id, state=STATES[word], reason=word.lower(), native=word)  # type: ignore[arg-type]
            for job_id, word in rows
        )

    def forgot(self, stderr: str) -> bool:
        return "no such job" in stderr

    def cancel_argv(self, job_id: str) -> tuple[str, ...]:
        return ("oardel", job_id)


class Lacking:
    """What somebody wrote for another version of the protocol."""

    prefix = "#LACKING"


def launch(parts: LaunchParts) -> LaunchPlan:
    return LaunchPlan(
        argv=(literal("oarsh-all"), literal(str(parts.ranks))),
        rank_variable="OAR_RANK",
        local_rank_variable="OAR_LOCAL_RANK",
        size_variable="OAR_SIZE",
    )


def falls(parts: LaunchParts) -> LaunchPlan:
    raise RuntimeError(f"no idea how to start {parts.ranks} ranks")
