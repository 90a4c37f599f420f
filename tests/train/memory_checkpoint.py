"""A checkpoint that lives in memory: fragments of any ranks, read by any geometry."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from neox.checkpoint.fragment import Fragment, Kind
from neox.parallel.sharding import Box


@dataclass(frozen=True)
class Plain:
    """A fragment as numbers, to travel between processes."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    start: int
    values: list[float]


def plain(fragments: Iterable[Fragment]) -> list[Plain]:
    return [Plain(f.name, f.kind, f.shape, f.start, f.data.tolist()) for f in fragments]


class MemoryCheckpoint:
    """Asserts that the fragments cover every tensor once."""

    def __init__(self, fragments: Iterable[Plain]) -> None:
        self._tensors: dict[tuple[str, Kind], torch.Tensor] = {}
        for one in fragments:
            key = (one.name, one.kind)
            size = torch.Size(one.shape).numel()
            flat = self._tensors.setdefault(key, torch.full((size,), float("nan")))
            window = flat[one.start : one.start + len(one.values)]
            assert window.isnan().all(), f"{key} was written twice"
            window.copy_(torch.tensor(one.values))
        assert not any(flat.isnan().any() for flat in self._tensors.values()), "a gap"

    def read(self, name: str, kind: Kind, box: Box, start: int, length: int) -> torch.Tensor:
        return self._tensors[name, kind][start : start + length]

    @property
    def names(self) -> set[tuple[str, str]]:
        return set(self._tensors)
