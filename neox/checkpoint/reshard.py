"""Which elements two flat pieces of one tensor share, whatever way each was cut.

A piece is the flat range [start, start + length) of a box, row-major. In the whole tensor it is a
list of runs: stretches that are contiguous there. Runs of both pieces are met like sorted lists.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neox.parallel.sharding import Box

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FlatPiece:
    """Elements [start, start + length) of the row-major box."""

    box: Box
    start: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Segment k: `lengths[k]` elements at `sources[k]` of one piece, `targets[k]` of the other."""

    sources: Positions
    targets: Positions
    lengths: Positions


def overlap(source: FlatPiece, target: FlatPiece, shape: tuple[int, ...]) -> Overlap:
    """The elements that both pieces hold; positions count from each piece's own first element."""
    if source.box == target.box:
        return _same_box(source, target)
    source_at, source_from, source_length = _runs(source, shape)
    target_at, target_from, target_length = _runs(target, shape)
    # for each target run, the source runs that may touch it: [first, last)
    first = np.searchsorted(source_at + source_length, target_at, side="right")
    last = np.searchsorted(source_at, target_at + target_length, side="left")
    touching = np.maximum(last - first, 0)
    t = np.repeat(np.arange(len(target_at)), touching)
    s = np.arange(touching.sum()) - np.repeat(touching.cumsum() - touching, touching) + first[t]
    begin = np.maximum(source_at[s], target_at[t])
    end = np.minimum(source_at[s] + source_length[s], target_at[t] + target_length[t])
    return Overlap(
        sources=source_from[s] + begin - source_at[s],
        targets=target_from[t] + begin - target_at[t],
        lengths=end - begin,
    )


def _same_box(source: FlatPiece, target: FlatPiece) -> Overlap:
    begin = max(source.start, target.start)
    end = min(source.start + source.length, target.start + target.length)
    count = 1 if end > begin else 0
    return Overlap(
        sources=np.full(count, begin - source.start),
        targets=np.full(count, begin - target.start),
        lengths=np.full(count, end - begin),
    )


def _runs(piece: FlatPiece, shape: tuple[int, ...]) -> tuple[Positions, Positions, Positions]:
    """Runs in order: position in the whole tensor, position in the piece, length."""
    box, width = piece.box, _run_width(piece.box, shape)
    lines = np.arange(piece.start // width, -(-(piece.start + piece.length) // width))
    begin = np.maximum(lines * width, piece.start)
    end = np.minimum((lines + 1) * width, piece.start + piece.length)
    inside = np.unravel_index(begin, box.shape) if box.shape else ()
    at = np.zeros(len(lines), dtype=np.int64)
    for extent, offset, index in zip(shape, box.starts, inside, strict=True):
        at = at * extent + offset + index
    return at, begin - piece.start, end - begin


def _run_width(box: Box, shape: tuple[int, ...]) -> int:
    """How many elements of the box, from a line's first on, are contiguous in the whole tensor."""
    width = 1
    for extent, full in zip(reversed(box.shape), reversed(shape), strict=True):
        width *= extent
        if extent != full:
            break
    return max(width, 1)
