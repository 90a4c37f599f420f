"""The rank contract: the only place where a rank reads its environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
BY_HAND = "by-hand"
RECORDERS = ("torch", "memory", "nsys", "rocprofv3", "rocprofv2", "rocprof")


class RankError(ValueError):
    """The environment does not say which rank this is."""


@dataclass(frozen=True, kw_only=True)
class ProfiledSteps:
    """What rank.sh says in a rank that is recorded."""

    recorder: str  # NEOX_PROFILE: torch, memory, nsys, rocprofv3, rocprofv2, rocprof
    first: int  # NEOX_PROFILE_STEPS=FIRST:LAST, counted from 1
    last: int


@dataclass(frozen=True, kw_only=True)
class RankEnvironment:
    """Who this process is among all processes of the job."""

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int
    master_addr: str
    master_port: int
    job_id: str  # names the files state/saved.JOBID and state/failed.JOBID
    node: str = ""  # as the scheduler calls it
    profile: ProfiledSteps | None = None
    threads_given: bool = False  # OMP_NUM_THREADS is set, so torch keeps to it
    store_served: bool = False  # torchrun listens at the master's port, in place of rank 0


def read_rank(environ: Mapping[str, str]) -> RankEnvironment:
    """Read the contract's variables; a process started by hand with none of them is rank 0 of 1.

    Raises RankError naming every variable that is missing, not a number or out of range.
    """
    given = [name for name in VARIABLES if environ.get(name)]
    if not given:
        return _alone(environ)
    missing = [name for name in VARIABLES if name not in given]
    if missing:
        raise RankError(f"{', '.join(missing)} not set, though {', '.join(given)} are")
    whole = {
        name: _whole_number(name, environ[name]) for name in VARIABLES if name != "MASTER_ADDR"
    }
    for part, size in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        if whole[part] >= whole[size]:
            raise RankError(f"{part}={whole[part]} is not below {size}={whole[size]}")
    return RankEnvironment(
        rank=whole["RANK"],
        local_rank=whole["LOCAL_RANK"],
        world_size=whole["WORLD_SIZE"],
        local_world_size=whole["LOCAL_WORLD_SIZE"],
        master_addr=environ["MASTER_ADDR"],
        master_port=whole["MASTER_PORT"],
        job_id=environ.get("NEOX_JOB_ID") or BY_HAND,
        node=_node(environ),
        profile=_profile(environ),
        threads_given=bool(environ.get("OMP_NUM_THREADS")),
        store_served=environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _alone(environ: Mapping[str, str]) -> RankEnvironment:
    return RankEnvironment(
        rank=0,
        local_rank=0,
        world_size=1,
        local_world_size=1,
        master_addr="127.0.0.1",
        master_port=0,  # no process group is needed, so no port either
        job_id=environ.get("NEOX_JOB_ID") or BY_HAND,
        node=_node(environ),
        profile=_profile(environ),
        threads_given=bool(environ.get("OMP_NUM_THREADS")),
    )


def _node(environ: Mapping[str, str]) -> str:
    return environ.get("NEOX_NODE") or socket.gethostname().partition(".")[0]


def _profile(environ: Mapping[str, str]) -> ProfiledSteps | None:
    recorder, steps = environ.get("NEOX_PROFILE"), environ.get("NEOX_PROFILE_STEPS", "")
    if not recorder:
        return None
    if recorder not in RECORDERS:
        raise RankError(f"NEOX_PROFILE={recorder!r} is none of {', '.join(RECORDERS)}")
    first, _, last = steps.partition(":")
    name = "NEOX_PROFILE_STEPS"
    return ProfiledSteps(
        recorder=recorder, first=_whole_number(name, first), last=_whole_number(name, last)
    )


def _whole_number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise RankError(f"{name}={text!r} is not a whole number")
    return int(text)
