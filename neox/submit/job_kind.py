"""A job kind: what a job does, wherever it runs. The fields are the keys of `jobs/KIND.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from neox.sites.profile import NOT_IN_FILE
from neox.submit.request import ProfileTool


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What must be there before the job is worth its place in the queue."""

    gpus: bool = True  # uses the node's GPUs, where it has some
    data: bool = True  # reads the token files that the config names
    checkpoint: bool = False  # reads a checkpoint
    compiler: bool = False  # runs the compiler of the site's [toolchain]
    cuda: bool = False  # uses a library that only NVIDIA's GPUs have


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """One file of the `jobs` shelf."""

    name: str = field(metadata=NOT_IN_FILE)  # the file's stem
    title: str  # one line: what it does
    # arguments of `neox`; "{run_yml}" stands for the config file, {run} for the run directory, {cc}
    # and {arch} for the compiler and the architectures of the site
    entry: tuple[str, ...]
    ranks: Literal["per-gpu", "per-node", "one"] = "per-gpu"  # how many processes run the entry
    needs: Needs = Needs()
    config: Mapping[str, object] = field(default_factory=dict)  # laid over the YAML
    seconds: int | None = None  # default walltime, else the queue's
    chain: bool = True  # does a next link make sense?
    signal: bool = True  # does the entry heed the stop file?
    profile: ProfileTool | None = None  # what records some steps of some ranks (--profile)
    outputs: tuple[str, ...] = ()  # shown after submission, relative to the run directory
    # dotted path -> "jobs/train.toml:3"
    origins: Mapping[str, str] = field(default_factory=dict, metadata=NOT_IN_FILE)
    # the kind's file and those it extends, the child first
    files: tuple[str, ...] = field(default=(), metadata=NOT_IN_FILE)
