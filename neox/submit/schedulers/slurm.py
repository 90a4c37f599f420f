"""Slurm: #SBATCH, sbatch, squeue, sacct, scancel. Options are those of Slurm 20.11 and later."""

import re
from dataclasses import replace
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
    first_word,
)

# squeue(1) and sacct(1), JOB STATE CODES
_STATES: dict[str, tuple[JobState, str]] = {
    "PENDING": ("pending", "waits"),
    "REQUEUED": ("pending", "was put back into the queue"),
    "REQUEUE_HOLD": ("pending", "was put back into the queue and is held"),
    "REQUEUE_FED": ("pending", "was put back into the queue"),
    "SPECIAL_EXIT": ("pending", "was put back into the queue and is held"),
    "RESV_DEL_HOLD": ("pending", "its reservation is gone"),
    "CONFIGURING": ("running", "its nodes are starting"),
    "RUNNING": ("running", "runs"),
    "COMPLETING": ("running", "is ending"),
    "STAGE_OUT": ("running", "is ending"),
    "SIGNALING": ("running", "is being signalled"),
    "SUSPENDED": ("running", "is suspended"),
    "STOPPED": ("running", "is stopped"),
    "RESIZING": ("running", "changes its size"),
    "UPDATE_DB": ("running", "is ending"),  # 24.05
    "POWER_UP_NODE": ("running", "its nodes are starting"),  # 24.05
    "EXPEDITING": ("pending", "was put back into the queue, before others"),  # 25.05
    "COMPLETED": ("ended", "ended well"),
    "FAILED": ("ended", "ended with an exit code"),
    "CANCELLED": ("ended", "was cancelled"),
    "TIMEOUT": ("ended", "ran into its time limit"),
    "DEADLINE": ("ended", "could not start before its deadline"),
    "NODE_FAIL": ("ended", "lost a node"),
    "BOOT_FAIL": ("ended", "its nodes did not start"),
    "OUT_OF_MEMORY": ("ended", "ran out of memory"),
    "PREEMPTED": ("ended", "had to make room for another job"),
    "REVOKED": ("ended", "started on another cluster"),
    "LAUNCH_FAILED": ("ended", "could not start on its nodes"),  # 24.05
    "RECONFIG_FAIL": ("ended", "its nodes could not be set up"),  # 24.05
}

# squeue(1), JOB REASON CODES: the ones a person meets
_REASONS = {
    "Dependency": "waits for the job before it",
    "DependencyNeverSatisfied": "waits for a job that can never satisfy it; cancel this one",
    "Priority": "others are before it",
    "Resources": "waits for free nodes",
    "BeginTime": "its start time lies ahead",
    "JobHeldUser": "is held by its owner: scontrol release",
    "JobHeldAdmin": "is held by the centre",
    "ReqNodeNotAvail": "a node it asks for is down or reserved",
    "PartitionNodeLimit": "asks for more nodes than its partition has",
    "PartitionTimeLimit": "asks for more time than its partition gives",
    "PartitionDown": "its partition is down",
    "AssocGrpCPUMinutesLimit": "the account's hours are used up",
    "AssocGrpBillingMinutes": "the account's hours are used up",
    "AssocMaxJobsLimit": "the account has as many jobs as it may",
    "QOSMaxJobsPerUserLimit": "you have as many running jobs as this queue allows",
    "QOSMaxSubmitJobPerUserLimit": "you have as many jobs as this queue allows",
    "QOSMaxNodePerJobLimit": "asks for more nodes than this queue allows",
    "QOSMaxWallDurationPerJobLimit": "asks for more time than this queue allows",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "launch failed requeued held": "could not start on its nodes and is held",
    "launch_failed_requeued_held": "could not start on its nodes and is held",  # 23.02
    "JobHoldMaxRequeue": "was put back too often and is held",
    "BadConstraints": "asks for what no node has; cancel it",
    "Nodes required for job are DOWN": "waits for free nodes",
}

_ID = re.compile(r"\d+(_\d+)?", re.ASCII)


class Slurm:
    """The Scheduler protocol for Slurm."""

    prefix: str = "#SBATCH"
    commands: Argv = ("sbatch", "squeue", "sacct", "scancel")
    ping: Argv = ("sinfo", "--noheader", "--format=%P")
    templates: None = None
    index_variable: str = "SLURM_ARRAY_TASK_ID"
    element: str = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        return (*_what(parts), *_where(parts), *_how_long(parts), *_output(parts), *_extra(parts))

    def submit_argv(self, script: Path, after: Argv = (), off: Argv = ()) -> Argv:
        waits = (f"--dependency=afterany:{':'.join(after)}",) if after else ()
        without = (f"--exclude={','.join(off)}",) if off else ()
        return ("sbatch", "--parsable", *waits, *without, str(script))

    def parse_job_id(self, stdout: str) -> str:
        # "1234" or "1234;cluster"; some sites print notes before it
        lines = stdout.split()
        job_id = lines[-1].split(";")[0] if lines else ""
        if not job_id.isdecimal():
            raise OutputError(f"sbatch --parsable answered {stdout.strip()[:200]!r}, not a job id")
        return job_id

    def known_id(self, text: str) -> str:
        if not _ID.fullmatch(text):
            raise OutputError(f"{text!r} is no job id; Slurm's are 1234, or 1234_5 in an array")
        return text

    def status_argv(self, job_ids: tuple[str, ...]) -> Argv:
        # all states: an ended job stays here for some minutes, before accounting has it
        joined = ",".join(job_ids)
        # waiting elements of an array otherwise share a line
        each = ("--array",) if "_" in joined else ()
        fields = "--format=%i|%T|%r"
        return ("squeue", "--noheader", "--states=all", *each, fields, f"--jobs={joined}")

    def history_argv(self, job_ids: tuple[str, ...]) -> Argv | None:
        joined = ",".join(job_ids)
        job_id = "JobID" if "_" in joined else "JobIDRaw"  # raw is not what squeue calls elements
        fields = f"--format={job_id},State,Reason"
        return ("sacct", "--noheader", "--parsable2", "--allocations", fields, f"--jobs={joined}")

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        rows = (line.strip().split("|") for line in stdout.splitlines())
        return tuple(_status(*row) for row in rows if len(row) == 3 and _ID.fullmatch(row[0]))

    def forgot(self, stderr: str) -> bool:
        return "nvalid job id" in stderr

    def cancel_argv(self, job_id: str) -> Argv:
        return ("scancel", job_id)

    def array_directives(
        self, directives: tuple[Directive, ...], name: str, output: Path
    ) -> tuple[Directive, ...]:
        own = {
            "--job-name": check_directive_text("name", name),
            "--output": f"{check_directive_text('output folder', str(output))}/array.%A.out",
        }
        return tuple(
            replace(line, text=f"{option}={own[option]}")
            if (option := line.text.partition("=")[0]) in own
            else line
            for line in directives
        )

    def array_argv(self, script: Path, count: int) -> Argv:
        return ("sbatch", "--parsable", f"--array=1-{count}", str(script))

    def element_id(self, job_id: str, index: int) -> str:
        return f"{job_id}_{index}"


def _status(job_id: str, state: str, reason: str) -> JobStatus:
    native = first_word(state)  # "CANCELLED by 1000"
    ours, words = _STATES.get(native, ("unknown", f"Slurm says {native}"))
    if ours == "pending":
        words = _REASONS.get(reason.split(",", maxsplit=1)[0].strip("()"), reason or words)
    return JobStatus(id=job_id, state=ours, reason=words, native=native)


# --- the header, in the order a person reads it -----------------------------------------------


def _what(parts: JobParts) -> list[Directive]:
    lines = [directive(f"--job-name={check_directive_text('name', parts.name)}", "--name")]
    if parts.account:
        account = check_directive_text("account", parts.account)
        lines.append(directive(f"--{parts.site.account.option}={account}", parts.account_origin))
    return lines


def _where(parts: JobParts) -> list[Directive]:
    site, queue = parts.site, parts.queue
    from_queue = site_origin(site, f"queues.{queue.name}").text
    lines: list[Directive] = []
    if queue.select in ("partition", "queue"):
        lines.append(directive(f"--partition={queue.word}", from_queue))
    elif queue.select == "qos":
        if queue.partition:
            lines.append(directive(f"--partition={queue.partition}", from_queue))
        lines.append(directive(f"--qos={queue.word}", from_queue))
    if queue.features:
        lines.append(directive(f"--constraint={'&'.join(queue.features)}", from_queue))
    lines.append(directive(f"--nodes={parts.nodes}", "--nodes"))
    lines += _on_each_node(parts)
    threads = parts.node.threads_per_core
    lines.append(directive(f"--threads-per-core={threads}", site_origin(site, "node").text))
    return lines


def _on_each_node(parts: JobParts) -> list[Directive]:
    """Whole nodes by the site's word for them; of a shared node, exactly what the ranks use."""
    site = parts.site
    lines: list[Directive] = []
    if not parts.queue.exclusive:
        cpus = parts.cores_per_rank * parts.node.threads_per_core
        rule = "rule: a share of a node says its ranks and cores"
        lines.append(directive(f"--ntasks-per-node={parts.ranks_per_node}", rule))
        lines.append(directive(f"--cpus-per-task={cpus}", rule))
    elif site.scheduler.whole_node:
        origin = site_origin(site, "scheduler.whole_node").text
        lines.append(directive(site.scheduler.whole_node, origin))
    if site.scheduler.memory_line:
        origin = site_origin(site, "scheduler.memory_line").text
        lines.append(directive(site.scheduler.memory_line, origin))
    if site.scheduler.gpus_line and parts.use_gpus:
        gpus = parts.node.gpus if parts.queue.exclusive else parts.ranks_per_node
        origin = site_origin(site, "scheduler.gpus_line").text
        lines.append(directive(site.scheduler.gpus_line.replace("{gpus}", str(gpus)), origin))
    return lines


def _how_long(parts: JobParts) -> list[Directive]:
    site = parts.site
    requeue = "--requeue" if site.requeue else "--no-requeue"
    lines = [
        directive(f"--time={print_time(parts.seconds, 'slurm')}", parts.seconds_origin),
        directive(requeue, site_origin(site, "requeue").text),
    ]
    if parts.lead_seconds is not None:
        rule = "rule: the stop signal comes to the batch shell, in time for a save"
        lines.append(directive(f"--signal=B:USR2@{parts.lead_seconds}", rule))
    origin = site_origin(site, "scheduler.directives").text
    lines += [directive(text, origin) for text in site.scheduler.directives]
    return lines


def _output(parts: JobParts) -> list[Directive]:
    # Slurm replaces % in file names; a folder of that name is refused before it comes here
    logs = check_directive_text("output folder", str(parts.logs))
    rule = "rule: logs/JOBID.out of the run"
    return [directive(f"--output={logs}/%j.out", rule), directive("--open-mode=append", rule)]


def _extra(parts: JobParts) -> list[Directive]:
    return [
        directive(f"--{check_directive_text('directive', e)}", "--directive") for e in parts.extra
    ]
