"""Memory that is used again, and never while somebody still holds a part of it."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.buffers import KEPT, Buffers

SHAPE = (4, 5)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_what_nobody_holds_is_used_again():
    buffers = Buffers()
    first = address(buffers.empty(SHAPE))
    assert address(buffers.empty((20,))) == first
    assert address(buffers.empty((21,))) != first


def test_a_part_of_it_is_enough_to_hold_it():
    buffers = Buffers()
    row = buffers.empty(SHAPE)[2:3]
    tensor = torch.from_numpy(buffers.empty(SHAPE)[1])[2:]
    row[:], tensor[:] = 7, 8
    for _ in range(2 * KEPT):
        buffers.empty(SHAPE).fill(0)
    assert row.tolist() == [[7] * 5]
    assert tensor.tolist() == [8] * 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3 * KEPT), max_size=60))
def test_held_arrays_keep_what_they_hold(steps: list[int]):
    """Each number takes an array and, by its size, drops one that was taken before."""
    buffers, held = Buffers(), []
    for number, step in enumerate(steps):
        taken = buffers.empty(SHAPE)
        taken.fill(number)
        held.append((number, taken))
        del taken
        if step < len(held):
            del held[step]
        assert all((array == kept).all() for kept, array in held)
    assert len(buffers._kept) <= KEPT
