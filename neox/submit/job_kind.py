"""A job kind: what a job does, wherever it runs. The fields are the keys of `jobs/KIND.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Needs:
    gpus: bool = True
    data: bool = True
    checkpoint: bool = False


@dataclass(frozen=True, kw_only=True)
class JobKind:
    name: str  # the file's stem
    title: str
    entry: tuple[str, ...]  # arguments of `neox`; "{run_yml}" stands for the config file
    ranks: Literal["per-gpu", "per-node", "one"] = "per-gpu"
    needs: Needs = Needs()
    config: Mapping[str, object] = field(default_factory=dict)  # laid over the YAML
    seconds: int | None = None  # default walltime, else the queue's
    chain: bool = True  # does a next link make sense?
    signal: bool = True  # does the entry heed the stop file?
    outputs: tuple[str, ...] = ()  # shown after submission, relative to the run directory
