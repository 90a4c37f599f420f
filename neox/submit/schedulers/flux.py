"""Flux: #flux:, flux batch, flux jobs, flux cancel.

Flux prints a job's id in base 58, behind an f; here it is its decimal number, which every command
of Flux takes and every file system and port rule can bear.
"""

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

# RFC 19: base 58 without 0, O, I and l
_F58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ID = re.compile(rf"[f\u0192]([{_F58}]{{1,12}})")
_FIELDS = "{id.dec}|{state}|{result}|{urgency}|{returncode}|{exception.type}|{exception.note}"

# flux-jobs(1), JOB STATUS; RFC 21
_STATES: dict[str, tuple[JobState, str]] = {
    "NEW": ("pending", "waits"),
    "DEPEND": ("pending", "waits for the job before it"),
    "PRIORITY": ("pending", "waits for its priority"),
    "SCHED": ("pending", "waits for free nodes"),
    "RUN": ("running", "runs"),
    "CLEANUP": ("running", "is ending"),
}
_RESULTS = {
    "COMPLETED": "ended well",
    "FAILED": "ended with an exit code",
    "CANCELED": "was cancelled",
    "CANCELLED": "was cancelled",  # before 0.21
    "TIMEOUT": "ran into its time limit",
}


class Flux:
    """The Scheduler protocol for Flux."""

    prefix: str = "#flux:"
    commands: Argv = ("flux",)
    ping: Argv = ("flux", "queue", "status")
    templates: None = None

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        return (*_what(parts), *_where(parts), *_how_long(parts), *_output(parts), *_extra(parts))

    def submit_argv(self, script: Path, after: Argv = (), off: Argv = ()) -> Argv:
        waits = tuple(f"--dependency=afterany:{job_id}" for job_id in after)
        without = (f"--requires=-host:{','.join(off)}",) if off else ()
        return ("flux", "batch", *waits, *without, str(script))

    def parse_job_id(self, stdout: str) -> str:
        lines = stdout.split()
        try:
            return self.known_id(lines[-1] if lines else "")
        except OutputError:
            said = stdout.strip()[:200]
            raise OutputError(f"flux batch answered {said!r}, which names no job") from None

    def known_id(self, text: str) -> str:
        if text.isascii() and text.isdecimal():
            return text
        match = _ID.fullmatch(text)
        if not match:
            raise OutputError(f"{text!r} is no job id; Flux's look like f2Y7nTbyCH3M")
        number = 0
        for letter in match[1]:
            number = number * len(_F58) + _F58.index(letter)
        return str(number)

    def status_argv(self, job_ids: Argv) -> Argv:
        return ("flux", "jobs", "-n", f"--format={_FIELDS}", *job_ids)

    def history_argv(self, job_ids: Argv) -> Argv | None:  # noqa: ARG002
        return None  # jobs that are named are shown in every state

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        rows = (line.strip().split("|", maxsplit=6) for line in stdout.splitlines())
        return tuple(_status(row) for row in rows if len(row) == 7 and row[0].isdecimal())

    def forgot(self, stderr: str) -> bool:
        return bool(re.search(r"JobID \S+ unknown", stderr))

    def cancel_argv(self, job_id: str) -> Argv:
        return ("flux", "cancel", job_id)


def _status(row: list[str]) -> JobStatus:
    job_id, state, result, urgency, *ending = row
    if state == "INACTIVE":
        words = _ending(result, *ending)
        return JobStatus(id=job_id, state="ended", reason=words, native=result or state)
    ours, words = _STATES.get(state, ("unknown", f"Flux says {state}"))
    if ours == "pending" and urgency == "0":
        words = "is held: flux job urgency JOB default"
    return JobStatus(id=job_id, state=ours, reason=words, native=state)


def _ending(result: str, code: str, exception: str, note: str) -> str:
    if result == "FAILED" and exception not in ("", "exec"):
        return f"ended by {exception}: {note}" if note else f"ended by {exception}"
    if result == "FAILED" and code.isdecimal():
        return f"ended with exit code {code}"
    return _RESULTS.get(result, f"ended; Flux says {result}")


# --- the header, in the order a person reads it -----------------------------------------------


def _what(parts: JobParts) -> list[Directive]:
    lines = [directive(f"--job-name={check_directive_text('name', parts.name)}", "--name")]
    if parts.account:
        account = check_directive_text("account", parts.account)
        lines.append(directive(f"--setattr=bank={account}", parts.account_origin))
    return lines


def _where(parts: JobParts) -> list[Directive]:
    site, queue = parts.site, parts.queue
    from_queue = site_origin(site, f"queues.{queue.name}").text
    lines: list[Directive] = []
    if queue.select != "none":
        lines.append(directive(f"--queue={queue.word}", from_queue))
    if queue.features:
        lines.append(directive(f"--requires={'&'.join(queue.features)}", from_queue))
    lines.append(directive(f"--nodes={parts.nodes}", "--nodes"))
    return [*lines, *_on_each_node(parts)]


def _on_each_node(parts: JobParts) -> list[Directive]:
    """Whole nodes by the site's word for them; of a shared node, exactly what the ranks use."""
    site = parts.site
    if parts.queue.exclusive:
        origin = site_origin(site, "scheduler.whole_node").text
        whole = site.scheduler.whole_node
        return [directive(whole, origin)] if whole else []
    rule = "rule: a share of a node says its ranks and cores"
    lines = [
        directive(f"--nslots={parts.nodes * parts.ranks_per_node}", rule),
        directive(f"--cores-per-slot={parts.cores_per_rank}", rule),
    ]
    return [*lines, directive("--gpus-per-slot=1", rule)] if parts.use_gpus else lines


def _how_long(parts: JobParts) -> list[Directive]:
    lines = [directive(f"--time-limit={print_time(parts.seconds, 'flux')}", parts.seconds_origin)]
    origin = site_origin(parts.site, "scheduler.directives").text
    return [*lines, *(directive(text, origin) for text in parts.site.scheduler.directives)]


def _output(parts: JobParts) -> list[Directive]:
    logs = check_directive_text("output folder", str(parts.logs))
    return [directive(f"--output={logs}/{{{{id.dec}}}}.out", "rule: logs/JOBID.out of the run")]


def _extra(parts: JobParts) -> list[Directive]:
    return [
        directive(f"--{check_directive_text('directive', text)}", "--directive")
        for text in parts.extra
    ]
