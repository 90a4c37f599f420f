"""Any way of cutting a tensor reads back into any other."""

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.checkpoint.reshard import FlatPiece, overlap
from neox.parallel.sharding import Box
from tests.checkpoint.saving import cut

Shape = tuple[int, ...]


@st.composite
def grids(draw: st.DrawFn, shape: Shape) -> list[FlatPiece]:
    """A tensor cut along every dimension into boxes, and every box into flat pieces."""
    cuts = [
        sorted(draw(st.sets(st.integers(1, extent - 1), max_size=3)) if extent > 1 else ())
        for extent in shape
    ]
    sides = [list(itertools.pairwise([0, *at, size])) for at, size in zip(cuts, shape, strict=True)]
    pieces = []
    for sides_of_one in itertools.product(*sides):
        box = Box(starts=tuple(a for a, _ in sides_of_one), stops=tuple(b for _, b in sides_of_one))
        total = int(np.prod(box.shape))
        flat = sorted(draw(st.sets(st.integers(0, total), max_size=3)) | {0, total})
        pieces += [FlatPiece(box=box, start=a, length=b - a) for a, b in itertools.pairwise(flat)]
    return pieces


@st.composite
def two_cuts(draw: st.DrawFn) -> tuple[Shape, list[FlatPiece], list[FlatPiece]]:
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    return shape, draw(grids(shape)), draw(grids(shape))


def content(tensor: torch.Tensor, piece: FlatPiece) -> torch.Tensor:
    return cut(tensor, piece.box)[piece.start : piece.start + piece.length]


@given(two_cuts())
@settings(max_examples=300, deadline=None)
def test_every_target_is_filled_once_from_the_sources(
    case: tuple[Shape, list[FlatPiece], list[FlatPiece]],
) -> None:
    shape, sources, targets = case
    tensor = torch.arange(int(np.prod(shape))).reshape(shape)
    for target in targets:
        result = torch.full((target.length,), -1)
        filled = 0
        for source in sources:
            data, part = content(tensor, source), overlap(source, target, shape)
            for at, to, length in zip(part.sources, part.targets, part.lengths, strict=True):
                assert length >= 0
                result[to : to + length] = data[at : at + length]
                filled += int(length)
        assert torch.equal(result, content(tensor, target))
        assert filled == target.length


def test_equal_boxes_meet_in_one_segment() -> None:
    box = Box(starts=(0, 4), stops=(100, 8))
    part = overlap(
        FlatPiece(box=box, start=0, length=250), FlatPiece(box=box, start=150, length=250), (100, 8)
    )
    assert part.lengths.tolist() == [100]
    assert part.sources.tolist() == [150]
    assert part.targets.tolist() == [0]
