"""IBM Spectrum LSF as the OLCF runs it: #BSUB with -nnodes, bsub, bjobs, bkill."""

import re
from pathlib import Path

from neox.sites.times import print_time
from neox.submit.origin import site_origin
from neox.submit.plan import Directive
from neox.submit.quoting import check_directive_text
from neox.submit.schedulers.scheduler import (
    Argv,
    JobParts,
    JobState,
    JobStatus,
    OutputError,
    directive,
)

_SUBMITTED = re.compile(r"^Job <(\d+)> is submitted", re.MULTILINE)

# bjobs(1), STAT
_STATES: dict[str, tuple[JobState, str]] = {
    "PEND": ("pending", "waits"),
    "PROV": ("pending", "its nodes are starting"),
    "PSUSP": ("pending", "is held: bresume"),
    "WAIT": ("pending", "waits"),
    "RUN": ("running", "runs"),
    "USUSP": ("running", "is suspended by its owner"),
    "SSUSP": ("running", "is suspended by the scheduler"),
    "DONE": ("ended", "ended well"),
    "EXIT": ("ended", "ended with an exit code"),
    "ZOMBI": ("ended", "its node does not answer"),
    "UNKWN": ("unknown", "the scheduler has lost sight of it"),
}
_REASONS = {
    "Job dependency condition not satisfied": "waits for the job before it",
    "New job is waiting for scheduling": "waits for the next round of scheduling",
    "Job slot limit reached": "as many jobs run as may",
    "Not enough hosts to meet the job's spanning requirement": "waits for free nodes",
    "Individual host based reasons": "waits for free nodes",
    "The job was suspended by the user while pending": "is held by its owner: bresume",
}


class Lsf:
    """The Scheduler protocol for LSF."""

    prefix: str = "#BSUB"
    commands: Argv = ("bsub", "bjobs", "bkill")
    ping: Argv = ("bqueues", "-w")
    templates: None = None

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        return (*_what(parts), *_where(parts), *_how_long(parts), *_output(parts), *_extra(parts))

    def submit_argv(self, script: Path, after: Argv = (), off: Argv = ()) -> Argv:
        waits = ("-w", " && ".join(f"ended({job_id})" for job_id in after)) if after else ()
        names = " && ".join(f"hname!='{node}'" for node in off)
        without = ("-R", f"select[{names}]") if off else ()
        return ("bsub", *waits, *without, str(script))

    def parse_job_id(self, stdout: str) -> str:
        match = _SUBMITTED.search(stdout)
        if not match:
            raise OutputError(f"bsub answered {stdout.strip()[:200]!r}, which names no job")
        return match[1]

    def known_id(self, text: str) -> str:
        if not text.isdecimal():
            raise OutputError(f"{text!r} is no job id; LSF's are numbers, such as 1234")
        return text

    def status_argv(self, job_ids: tuple[str, ...]) -> Argv:
        fields = "jobid stat pend_reason delimiter='|'"
        return ("bjobs", "-noheader", "-a", "-o", fields, *job_ids)

    def history_argv(self, job_ids: tuple[str, ...]) -> Argv | None:  # noqa: ARG002
        return None  # bjobs -a names jobs that ended within the last hour

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        rows = (line.strip().split("|", maxsplit=2) for line in stdout.splitlines())
        return tuple(_status(*row) for row in rows if len(row) == 3 and row[0].isdecimal())

    def forgot(self, stderr: str) -> bool:
        return "is not found" in stderr

    def cancel_argv(self, job_id: str) -> Argv:
        return ("bkill", job_id)


def _status(job_id: str, native: str, reason: str) -> JobStatus:
    ours, words = _STATES.get(native, ("unknown", f"LSF says {native}"))
    plain = reason.strip().split(":")[0].rstrip(";. ")
    if ours == "pending" and plain not in ("", "-"):
        words = _REASONS.get(plain, plain)
    return JobStatus(id=job_id, state=ours, reason=words, native=native)


def _what(parts: JobParts) -> list[Directive]:
    lines = [directive(f"-J {check_directive_text('name', parts.name)}", "--name")]
    if parts.account:
        account = check_directive_text("account", parts.account)
        lines.append(directive(f"-P {account}", parts.account_origin))
    return lines


def _where(parts: JobParts) -> list[Directive]:
    site, queue = parts.site, parts.queue
    lines: list[Directive] = []
    if queue.select != "none":
        lines.append(directive(f"-q {queue.word}", site_origin(site, f"queues.{queue.name}").text))
    lines.append(directive(f"-nnodes {parts.nodes}", "--nodes"))
    if site.scheduler.alloc_flags:
        # LSF heeds one such line only, so every flag stands on it
        flags = " ".join(site.scheduler.alloc_flags)
        origin = site_origin(site, "scheduler.alloc_flags").text
        lines.append(directive(f'-alloc_flags "{flags}"', origin))
    return lines


def _how_long(parts: JobParts) -> list[Directive]:
    site = parts.site
    lines = [directive(f"-W {print_time(parts.seconds, 'lsf')}", parts.seconds_origin)]
    if not site.requeue:
        lines.append(directive("-rn", site_origin(site, "requeue").text))
    if parts.lead_seconds is not None:
        rule = "rule: the stop signal comes in time for a save"
        minutes = -(-parts.lead_seconds // 60)
        lines += [directive("-wa USR2", rule), directive(f"-wt {minutes}", rule)]
    origin = site_origin(site, "scheduler.directives").text
    lines += [directive(text, origin) for text in site.scheduler.directives]
    return lines


def _output(parts: JobParts) -> list[Directive]:
    logs = check_directive_text("output folder", str(parts.logs))
    return [directive(f"-o {logs}/%J.out", "rule: logs/JOBID.out of the run")]


def _extra(parts: JobParts) -> list[Directive]:
    """K=V is `-K V` here; a bare K is a switch."""
    lines: list[Directive] = []
    for text in parts.extra:
        key, _, value = check_directive_text("directive", text).partition("=")
        lines.append(directive(f"-{key} {value}".rstrip(), "--directive"))
    return lines
