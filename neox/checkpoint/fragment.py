"""The unit of a checkpoint: a flat piece of one tensor, named as the whole model names it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from neox.parallel.sharding import Box, whole

__all__ = ["Box", "Fragment", "FragmentReader", "Kind", "whole"]

Kind = Literal["weight", "exp_avg", "exp_avg_sq"]


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """`data` is flat: elements [start, start + len) of the shard `box`, row-major.

    ZeRO cuts a shard at flat positions, not at rows, hence start and length.
    """

    name: str  # logical, the same in every geometry: layers.3.mlp.linear1.weight
    kind: Kind
    shape: tuple[int, ...]  # of the whole tensor
    box: Box
    start: int
    data: torch.Tensor  # [length]


class FragmentReader(Protocol):
    """A checkpoint seen by an engine that restores itself."""

    def read(self, name: str, kind: Kind, box: Box, start: int, length: int) -> torch.Tensor:
        """The flat piece, on the CPU, in the stored dtype.

        Raises CheckpointError naming the file or tensor when it is missing or damaged.
        """
