"""PBS Pro and OpenPBS: #PBS, qsub, qstat, qdel. Not Torque, whose `-l nodes=` is another language.

A job's id is its sequence number, without the server's name: $PBS_JOBID up to the first dot.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from neox.sites.times import print_time
from neox.submit.origin import site_origin
from neox.submit.plan import Directive
from neox.submit.quoting import check_directive_text
from neox.submit.refusal import SchedulerError
from neox.submit.schedulers.scheduler import (
    Argv,
    JobParts,
    JobState,
    JobStatus,
    OutputError,
    directive,
)

_ID = re.compile(r"(\d+(?:\[\d*\])?)(?:\.[A-Za-z0-9._-]+)?", re.ASCII)  # 1234.server, 1234[].server
_CONTINUED = re.compile(r"\n\t")  # qstat -f folds lines

# qstat(1B), job_state
_STATES: dict[str, tuple[JobState, str]] = {
    "Q": ("pending", "waits"),
    "H": ("pending", "is held"),
    "W": ("pending", "its start time lies ahead"),
    "T": ("pending", "is being moved to another queue"),
    "M": ("unknown", "was moved to another server; ask there"),
    "R": ("running", "runs"),
    "B": ("running", "runs"),
    "S": ("running", "is suspended"),
    "U": ("running", "is suspended while its node is in use"),
    "E": ("running", "is ending"),
    "F": ("ended", "ended"),
    "X": ("ended", "ended"),
}
# Hold_Types: who must let it go
_HOLDS = {
    "s": "waits for the job before it",
    "u": "is held by its owner: qrls",
    "o": "is held by the centre",
    "p": "is held: its password is not valid",
}
# what a waiting job's `comment` begins with, after "Not Running: "
_COMMENTS = {
    "Insufficient amount of resource": "waits for free nodes",
    "Not enough free nodes available": "waits for free nodes",
    "Not enough of the right type of nodes": "waits for free nodes",
    "Job is requesting an exclusive node": "waits for free nodes",
    "Job would conflict with reservation or top job": "others are before it",
    "Draining system to allow starving job to run": "others are before it",
    "Node is in an ineligible state": "a node it asks for is down or reserved",
    "User has reached": "you have as many running jobs as this queue allows",
    "Job would cross dedicated time boundary": "a maintenance lies ahead",
    "Queue not started": "its queue is stopped",
}
# PBS Reference Guide, "Job Exit Status Codes": below zero, PBS speaks itself
_EXITS = {
    -3: "could not start on its nodes",
    -24: "used more cores than it asked for",
    -25: "used more cores than it asked for",
    -26: "ran out of memory",
    -27: "ran out of memory",
    -29: "ran into its time limit",
}
_SIGNALLED = 256  # and more: 256 + the signal that ended the job's shell


class Pbs:
    """The Scheduler protocol for PBS."""

    prefix: str = "#PBS"
    commands: Argv = ("qsub", "qstat", "qdel")
    ping: Argv = ("qstat", "-Q")
    templates: None = None

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        return (*_what(parts), *_where(parts), *_how_long(parts), *_output(parts), *_extra(parts))

    def submit_argv(self, script: Path, after: Argv = (), off: Argv = ()) -> Argv:
        waits = ("-W", f"depend=afterany:{':'.join(after)}") if after else ()
        if off:
            raise SchedulerError(
                f"qsub cannot keep a job off {', '.join(off)} (state/bad_nodes): ask the centre to "
                "take them out of service, then delete their lines from that file"
            )
        return ("qsub", *waits, str(script))

    def parse_job_id(self, stdout: str) -> str:
        lines = stdout.split()
        match = _ID.fullmatch(lines[-1]) if lines else None
        if not match:
            raise OutputError(f"qsub answered {stdout.strip()[:200]!r}, which names no job")
        return match[1]

    def known_id(self, text: str) -> str:
        match = _ID.fullmatch(text)
        if not match:
            raise OutputError(f"{text!r} is no job id; those of PBS are 1234 or 1234.server")
        return match[1]

    def status_argv(self, job_ids: Argv) -> Argv:
        return ("qstat", "-f", *job_ids)

    def history_argv(self, job_ids: Argv) -> Argv | None:
        """A server may keep no history; then a job that `status_argv` does not name has ended."""
        return ("qstat", "-x", "-f", *job_ids)

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        blocks = _CONTINUED.sub("", stdout).split("Job Id: ")[1:]
        return tuple(_statuses(blocks))

    def forgot(self, stderr: str) -> bool:
        return "Unknown Job Id" in stderr or "Job has finished" in stderr

    def cancel_argv(self, job_id: str) -> Argv:
        return ("qdel", job_id)


def _statuses(blocks: list[str]) -> Iterator[JobStatus]:
    for block in blocks:
        name, _, rest = block.partition("\n")
        match = _ID.fullmatch(name.strip())
        fields = dict(_field(line) for line in rest.splitlines() if " = " in line)
        if match and "job_state" in fields:
            native = fields["job_state"]
            ours, words = _STATES.get(native, ("unknown", f"PBS says {native}"))
            reason = _reason(ours, words, fields)
            yield JobStatus(id=match[1], state=ours, reason=reason, native=native)


def _field(line: str) -> tuple[str, str]:
    key, _, value = line.partition(" = ")
    return key.strip(), value.strip()


def _reason(ours: JobState, words: str, fields: dict[str, str]) -> str:
    if ours == "ended":
        return _ending(fields["Exit_status"]) if "Exit_status" in fields else "ended before it ran"
    if fields["job_state"] == "H":
        holders = fields.get("Hold_Types", "")
        if "s" in holders and "depend" not in fields:
            return "is held by PBS, after it could not be started: qrls"
        return next((said for letter, said in _HOLDS.items() if letter in holders), words)
    if ours == "pending" and "comment" in fields:
        return _waiting(fields["comment"])
    return words


def _ending(status: str) -> str:
    try:
        code = int(status)
    except ValueError:
        return f"ended with {status}"
    if code >= _SIGNALLED:
        return f"ended by signal {code - _SIGNALLED}"
    if code < 0:
        return _EXITS.get(code, f"PBS ended it, with its own code {code}")
    return f"ended with exit code {code}" if code else "ended well"


def _waiting(comment: str) -> str:
    kind, _, why = comment.partition(": ")
    if kind == "Can Never Run":
        return f"can never run: {why}; cancel it"
    plain = why if kind == "Not Running" else comment
    known = (words for start, words in _COMMENTS.items() if plain.startswith(start))
    return next(known, plain)


# --- the header, in the order a person reads it -----------------------------------------------


def _what(parts: JobParts) -> list[Directive]:
    lines = [
        directive("-S /bin/bash", "rule: PBS runs a script with the login shell unless told"),
        directive(f"-N {check_directive_text('name', parts.name)}", "--name"),
    ]
    if parts.account:
        account = check_directive_text("account", parts.account)
        lines.append(directive(f"-A {account}", parts.account_origin))
    return lines


def _where(parts: JobParts) -> list[Directive]:
    site, queue = parts.site, parts.queue
    from_queue = site_origin(site, f"queues.{queue.name}").text
    lines: list[Directive] = []
    if queue.select != "none":
        lines.append(directive(f"-q {queue.word}", from_queue))
    chunk = ":".join((str(parts.nodes), *_chunk(parts), *queue.features))
    lines.append(directive(f"-l select={chunk}", "--nodes, with what a node brings"))
    place = site.scheduler.whole_node if queue.exclusive else "-l place=scatter"
    if place:
        lines.append(directive(place, site_origin(site, "scheduler.whole_node").text))
    return lines


def _chunk(parts: JobParts) -> Iterator[str]:
    """What one node brings: all of it, or what the ranks use of a shared one."""
    node, whole = parts.node, parts.queue.exclusive
    used = parts.ranks_per_node * parts.cores_per_rank
    cores = node.cores - len(node.reserved) if whole else used
    gpus = node.gpus if whole else parts.ranks_per_node
    for resource in parts.site.scheduler.chunk:
        if "{gpus}" in resource and not parts.use_gpus:
            continue
        cpus = str(cores * node.threads_per_core)
        yield resource.replace("{cpus}", cpus).replace("{gpus}", str(gpus))


def _how_long(parts: JobParts) -> list[Directive]:
    site = parts.site
    lines = [
        directive(f"-l walltime={print_time(parts.seconds, 'pbs')}", parts.seconds_origin),
        directive("-r y" if site.requeue else "-r n", site_origin(site, "requeue").text),
    ]
    origin = site_origin(site, "scheduler.directives").text
    lines += [directive(text, origin) for text in site.scheduler.directives]
    return lines


def _output(parts: JobParts) -> list[Directive]:
    """PBS names no file by the job's number, so the script does; this is what comes before."""
    logs = check_directive_text("output folder", str(parts.logs))
    rule = "rule: what PBS itself has to say; the script writes to logs/JOBID.out of the run"
    return [directive("-j oe", rule), directive(f"-o {logs}/", rule)]


def _extra(parts: JobParts) -> list[Directive]:
    """K=V is `-K V` for an option of one letter, and a resource, `-l K=V`, otherwise."""
    lines: list[Directive] = []
    for text in parts.extra:
        key, _, value = check_directive_text("directive", text).partition("=")
        line = f"-{key} {value}".rstrip() if len(key) == 1 else f"-l {text}"
        lines.append(directive(line, "--directive"))
    return lines
