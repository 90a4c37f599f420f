"""`submissions.jsonl`: one line for every job of a run that was handed to a scheduler."""

import json
from dataclasses import dataclass

from neox.run.paths import RunPaths
from neox.submit.codec import CodecError, decode, encode
from neox.submit.files import append_line, read
from neox.submit.processes import Process, parse_process
from neox.submit.refusal import RunDirectoryError


@dataclass(frozen=True, kw_only=True)
class Submission:
    link: int
    job_id: str
    after: str | None  # the job it waits for
    argv: tuple[str, ...]
    time: str  # UTC, 2026-07-22T10:00:00Z
    user: str
    hostname: str  # where it was submitted; on the site `local` also where it runs
    process: str | None = None  # "PID:STARTED" of a job that is a process of that machine

    def running_process(self) -> Process | None:
        return parse_process(self.process) if self.process else None


def record(run: RunPaths, submission: Submission) -> None:
    append_line(run.submissions, json.dumps(encode(submission), ensure_ascii=False))


def submissions(run: RunPaths) -> tuple[Submission, ...]:
    """All of them, oldest first. A last line without an end was cut off and does not count."""
    if not run.submissions.exists():
        return ()
    whole, _, _ = read(run.submissions).rpartition("\n")
    found = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found.append(decode(Submission, json.loads(line)))
        except (json.JSONDecodeError, CodecError) as error:
            raise RunDirectoryError(f"{run.submissions}:{number}: {error}; mend it") from None
    return tuple(found)
