"""What a person asked for, and the facts of the moment, gathered once at the edge.

Everything the plan needs from outside stands here, so that the plan itself can be pure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ProfileTool = Literal["nsys", "rocprof", "torch", "memory"]


@dataclass(frozen=True, kw_only=True)
class ProfileRanks:
    """--profile-ranks 0,8 | one-per-node | all"""

    which: Literal["named", "one-per-node", "all"] = "named"
    named: tuple[int, ...] = (0,)  # for which = "named"


@dataclass(frozen=True, kw_only=True)
class Request:
    site: str
    job: str
    configs: tuple[Path, ...]
    overrides: tuple[str, ...] = ()  # KEY=VALUE
    nodes: int | None = None
    spare_nodes: int = 0
    seconds: int | None = None  # --time
    queue: str | None = None
    account: str | None = None
    name: str | None = None
    output: Path | None = None  # -o: where run directories go
    chain: int | None = None
    dependencies: tuple[str, ...] = ()  # --dependency JOBID[,JOBID]
    python: str | None = None
    here: bool = False  # run inside the allocation one already has
    directives: tuple[str, ...] = ()  # --directive K=V
    launch_args: tuple[str, ...] = ()  # --launch-arg ARG
    profile: ProfileTool | None = None  # in place of the job kind's
    profile_ranks: ProfileRanks | None = None
    profile_steps: tuple[int, int] | None = None  # first and last, counted from 1

    # facts of the moment
    user: str
    cwd: Path
    home: Path
    submit_python: str  # the interpreter that runs neox-submit
    machine_cores: int  # of this machine: what the site `local` is made of
    hosts: tuple[str, ...] = ()  # from the hostfile, for sites without a scheduler
    argv: tuple[str, ...]  # as typed, for the script's header


def excluded(request: Request) -> tuple[str, ...]:
    """Nodes that the person's own --directive exclude=n1,n2 leaves out."""
    found = (text.partition("=") for text in request.directives)
    return tuple(n for key, _, value in found if key in ("exclude", "x") for n in value.split(","))
