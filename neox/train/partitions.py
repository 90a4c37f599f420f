"""Which pieces of which parameters a flat partition of ZeRO holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Elements [start, start + length) of a parameter, at `offset` of the partition."""

    name: str
    shape: tuple[int, ...]
    start: int
    length: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One rank's part of a flat group: where its fp32 master is, and what it means."""

    master: torch.Tensor  # flat fp32, padding included
    pieces: tuple[Piece, ...]


def partition(
    flat: torch.Tensor, master: torch.Tensor, named: Mapping[str, torch.Tensor], rank: int
) -> Partition:
    """The `rank`-th of the equal parts of `flat`, each as long as `master`.

    `named` are the parameters whose storage lies in `flat`: their place is read from the storage,
    so that neither order nor padding needs to be known.
    """
    begin = rank * master.numel()
    pieces = tuple(_pieces(flat, named, begin, begin + master.numel()))
    return Partition(master=master, pieces=pieces)


def _pieces(
    flat: torch.Tensor, named: Mapping[str, torch.Tensor], begin: int, end: int
) -> Iterator[Piece]:
    for name, parameter in named.items():
        at = (parameter.data_ptr() - flat.data_ptr()) // flat.element_size()
        low, high = max(at, begin), min(at + parameter.numel(), end)
        if low < high:
            yield Piece(
                name=name,
                shape=tuple(parameter.shape),
                start=low - at,
                length=high - low,
                offset=low - begin,
            )


def even_cut(name: str, parameter: torch.Tensor, rank: int, ranks: int) -> Piece:
    """This rank's share of a tensor that every rank holds whole, so that saving is shared."""
    size = parameter.numel()
    start = size * rank // ranks
    length = size * (rank + 1) // ranks - start
    return Piece(name=name, shape=tuple(parameter.shape), start=start, length=length, offset=start)
