"""Memory for tokens that is used again once nobody holds it.

An array of megabytes that numpy allocates comes from the kernel page by page, and goes back when
the step is over; to touch the pages anew takes as long as to fill them.
"""

import sys
import threading
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

KEPT = 8  # arrays: those a loader reads ahead, and those of the steps that are being taken
HELD_BY_NOBODY = 2  # references to an element of a list: the list's, and the one asked for here


class Buffers:
    """At most `KEPT` arrays, given out as views, which hold on to them."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.int64]] = []
        self._lock = threading.Lock()

    def empty(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """As `np.empty`: what it holds is anything."""
        size = prod(shape)
        with self._lock:
            return self._unused(size)[:].reshape(shape)

    def _unused(self, size: int) -> NDArray[np.int64]:
        kept = self._kept
        for index in range(len(kept)):
            if sys.getrefcount(kept[index]) == HELD_BY_NOBODY and kept[index].size == size:
                return kept[index]
        new = np.empty(size, np.int64)
        self._kept = [*kept, new][-KEPT:]
        return new
