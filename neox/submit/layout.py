"""Where each rank of a node runs, computed from the node's anatomy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RankPlace:
    """Where one rank of a node runs. Core numbers are physical cores, never reserved ones."""

    local_rank: int
    gpu: int | None  # index as the scheduler numbers it; None on a node without GPUs
    cores: tuple[int, ...]
    numa: int  # index of the domain that holds the cores
    nic: str | None
