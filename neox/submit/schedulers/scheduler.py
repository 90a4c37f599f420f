"""What every scheduler can be asked: pure functions from plain values to argument lists and back.

No process starts here. Commands are tuples of arguments, and output is parsed in one place each.
"""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from neox.frozen import Frozen, frozen
from neox.sites.profile import NodeType, Profile, Queue
from neox.submit.plan import Directive, Origin

Argv = tuple[str, ...]
JobState = Literal["pending", "running", "ended", "unknown"]


class OutputError(ValueError):
    """A scheduler's answer that is not what its manual says; the message shows it."""


@frozen
class JobStatus(Frozen):
    """One job, as its scheduler sees it now."""

    id: str
    state: JobState
    reason: str  # plain words: "waits for the job before it", "ran into its time limit"
    native: str  # the scheduler's own word


@frozen
class JobParts(Frozen):
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


class Headed(Protocol):
    """What a job's script and its submission need of a scheduler."""

    @property
    def prefix(self) -> str:
        """What starts a header line: "#SBATCH"; empty where a script has no header."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The programs that are needed here, the first of them to submit."""

    @property
    def templates(self) -> Path | None:
        """The folder of KIND.sh.j2; None for those that come with us."""

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        """The header's lines, without the prefix.

        Raises QuotingError, naming the field, for text that cannot stand there.
        """

    def submit_argv(
        self, script: Path, after: tuple[str, ...] = (), off: tuple[str, ...] = ()
    ) -> Argv:
        """Queue the script, to start once the jobs `after` have ended in whatever way.

        `off`: nodes that it must not get. Raises SchedulerError where that cannot be said.
        """


@runtime_checkable
class Scheduler(Headed, Protocol):
    """One scheduler's dialect."""

    @property
    def ping(self) -> tuple[str, ...]:
        """A question that costs it little, to see whether it answers."""

    def parse_job_id(self, stdout: str) -> str:
        """The number in the answer to `submit_argv`. Raises OutputError."""

    def known_id(self, text: str) -> str:
        """A job's id, as a person types it, in the form `after` takes. Raises OutputError."""

    def status_argv(self, job_ids: tuple[str, ...]) -> Argv:
        """Ask for the live jobs among these."""

    def history_argv(self, job_ids: tuple[str, ...]) -> Argv | None:
        """Ask for those that ended; None where `status_argv` already tells."""

    def parse_status(self, stdout: str) -> tuple[JobStatus, ...]:
        """The answer to either. Lines that are no job are left out."""

    def forgot(self, stderr: str) -> bool:
        """Does a query that failed say so because it no longer knows a job?"""

    def cancel_argv(self, job_id: str) -> Argv: ...


@runtime_checkable
class Arrays(Protocol):
    """A scheduler that starts one script several times, each time with another index from 1 on."""

    @property
    def index_variable(self) -> str:
        """Which element this is, in the script."""

    @property
    def element(self) -> str:
        """A shell word for the element's id in the script, as `element_id` has it."""

    def array_directives(
        self, directives: tuple[Directive, ...], name: str, output: Path
    ) -> tuple[Directive, ...]:
        """One run's header as that of all: another name, and another place for the output.

        Raises QuotingError.
        """

    def array_argv(self, script: Path, count: int) -> Argv: ...

    def element_id(self, job_id: str, index: int) -> str:
        """What the scheduler calls element `index` of the array `job_id`."""


def first_word(text: str) -> str:
    """The first word, or nothing of an empty text."""
    return text.split(maxsplit=1)[0] if text.strip() else ""


def directive(text: str, origin: str) -> Directive:
    return Directive(text=text, origin=Origin(text=origin))
