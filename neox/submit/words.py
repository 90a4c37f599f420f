"""Text that reaches a script: literal, or a variable that the job knows. Never a command string."""

from dataclasses import dataclass

JOB_VARIABLES = frozenset(
    {
        # set by job.sh itself before anything uses them
        "job_id",
        "run",
        "link",
        "link_for_pdsh",
        "python",
        "MASTER_ADDR",
        "MASTER_PORT",
        "left_out",  # nodes of the allocation that no rank runs on, "n3,n7"
        "used_ranks",  # Open MPI's rankfile for those hosts
        "used_hosts",  # a file of those that ranks run on
        "NEOX_PROFILER",
        # known to a node's script only
        "node_rank",
        # known to a rank only
        "LOCAL_RANK",
        "RANK",
        "node",
    }
)


@dataclass(frozen=True)
class Literal:
    """Text that is quoted for the shell when it is printed."""

    text: str


@dataclass(frozen=True)
class ShellVar:
    """A variable of JOB_VARIABLES, printed as "$name" or "${name}suffix"."""

    name: str

    def __post_init__(self) -> None:
        assert self.name in JOB_VARIABLES, self.name


Word = tuple[Literal | ShellVar, ...]  # the parts of one shell word, printed without a space


def literal(text: str) -> Word:
    return (Literal(text),)
