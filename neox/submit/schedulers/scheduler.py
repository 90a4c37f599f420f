"""What every scheduler can be asked: pure functions from plain values to argument lists and back.

No process starts here. Commands are tuples of arguments, and output is parsed in one place each.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from neox.sites.profile import NodeType, Profile, Queue
from neox.submit.plan import Directive

Argv = tuple[str, ...]
JobState = Literal["pending", "running", "ended", "unknown"]


class OutputError(ValueError):
    """A scheduler's answer that is not what its manual says; the message shows it."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job, as its scheduler sees it now."""

    id: str
    state: JobState
    reason: str  # plain words: "waits for the link before it", "ran into its time limit"
    native: str  # the scheduler's own word


@dataclass(frozen=True, kw_only=True)
class JobParts:
    """What a script's header says, before any scheduler's dialect."""

    site: Profile
    queue: Queue
    node: NodeType
    name: str
    account: str | None
    account_origin: str
    nodes: int
    ranks_per_node: int
    cores_per_rank: int
    use_gpus: bool
    seconds: int
    seconds_origin: str
    lead_seconds: int | None  # None: the job is not to be warned by the scheduler
    logs: Path  # folder of the output file, absolute
    extra: tuple[str, ...]  # --directive K=V


class Scheduler(Protocol):
    """One scheduler's dialect."""

    @property
    def prefix(self) -> str:
        """What starts a header line: "#SBATCH"; empty where a script has no header."""

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        """The header's lines, without the prefix.

        Raises QuotingError, naming the field, for text that cannot stand there.
        """

    def submit_argv(self, script: Path, after: str | None = None) -> Argv:
        """Queue the script, to start once the job `after` has ended in whatever way."""

    def parse_job_id(self, stdout: str) -> str:
        """The id in the answer to `submit_argv`. Raises OutputError."""

    def status_argv(self, job_ids: tuple[str, ...]) -> Argv:
        """Ask for the live jobs among these."""

    def history_argv(self, job_ids: tuple[str, ...]) -> Argv | None:
        """Ask for those that ended; None where `status_argv` already tells."""

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        """The answer to either. Lines that are no job are left out."""

    def cancel_argv(self, job_id: str) -> Argv: ...


def first_word(text: str) -> str:
    """The first word, or nothing of an empty text."""
    return text.split(maxsplit=1)[0] if text.strip() else ""
