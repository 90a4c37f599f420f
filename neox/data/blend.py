"""Mixing several sets by weight, sample by sample.

The rules are GPT-NeoX's (megatron/data/data_utils.py, blendable_dataset.py and helpers.cpp), so
that a blended run reads the same samples in the same order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neox.data.errors import DataError
from neox.data.order import IntArray

SPARE = 1.005  # each set is asked for half a percent more than its share
MOST_IN_A_BYTE = 255  # up to here the set of a sample is stored in a byte, as there
MOST_SETS = 65_535
STRETCH = 1024  # samples that one stretch of the loop draws
SIDE_BY_SIDE = 1024  # stretches


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Sample i of the blend is sample `within[i]` of set `sets[i]`."""

    sets: IntArray  # uint8, or uint16 above 255 sets [n]
    within: IntArray  # int64 [n]


def normalised(weights: Sequence[float]) -> list[float]:
    """Weights that sum to 1, in float64.

    Raises DataError when one is negative or not finite, or all are 0.
    """
    if any(not 0 <= weight < math.inf for weight in weights) or sum(weights) <= 0:
        raise DataError(f"data weights {list(weights)}: none may be negative, and one above 0")
    if len(weights) > MOST_SETS:
        raise DataError(f"{len(weights)} data sets; a blend takes at most {MOST_SETS}")
    array = np.array(weights, np.float64)
    return [float(weight) for weight in array / np.sum(array)]


def samples_per_set(weights: Sequence[float], samples: int) -> list[int]:
    """How many samples each set must offer so that `samples` of the blend can be drawn."""
    return [math.ceil(samples * weight * SPARE) for weight in normalised(weights)]


def blend(weights: Sequence[float], samples: int) -> Blend:
    """Give each next sample to the set that lies furthest behind its share; first set on a tie.

    The rule is a loop over samples. Stretches of it run side by side from guessed states, and
    those whose guess the stretch before does not confirm run again, from where that one ended:
    wrong guesses meet the true course within a few samples of each set, so once is the rule.
    """
    shares = np.array(normalised(weights), np.float64)
    small = len(shares) <= MOST_IN_A_BYTE
    sets: IntArray = np.empty(samples, np.uint8) if small else np.empty(samples, np.uint16)
    within = np.empty(samples, np.int64)
    used = np.zeros(len(shares), np.int64)
    for first in range(0, samples, STRETCH * SIDE_BY_SIDE):
        last = min(samples, first + STRETCH * SIDE_BY_SIDE)
        starts = np.arange(first, last, STRETCH)
        entry = _guesses(shares, starts)
        entry[0] = used
        chosen, counts, leaving = _stretches(shares, starts, entry)
        while len(wrong := np.flatnonzero((entry[1:] != leaving[:-1]).any(axis=1)) + 1):
            entry[wrong] = leaving[wrong - 1]
            again = _stretches(shares, starts[wrong], entry[wrong])
            chosen[wrong], counts[wrong], leaving[wrong] = again
        sets[first:last] = chosen.reshape(-1)[: last - first]
        within[first:last] = counts.reshape(-1)[: last - first]
        used = leaving[-1]
    return Blend(sets=sets, within=within)


def _guesses(shares: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each set was probably drawn before `starts`: its share, rounded to a right sum."""
    exact = starts[:, None] * shares
    guess = np.floor(exact).astype(np.int64)
    missing = starts - guess.sum(axis=1)
    rank = np.argsort(np.argsort(guess - exact, axis=1, kind="stable"), axis=1, kind="stable")
    rounded: NDArray[np.int64] = guess + (rank < missing[:, None])
    return rounded


def _stretches(
    shares: NDArray[np.float64], starts: NDArray[np.int64], entry: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Chosen sets and their counts [stretches, STRETCH], and the state at the end of each."""
    rows = np.arange(len(starts))
    used = entry.astype(np.float64)  # exact below 2^53
    chosen = np.empty((STRETCH, len(starts)), np.int64)
    counts = np.empty((STRETCH, len(starts)), np.int64)
    for step in range(STRETCH):
        drawn = np.maximum(starts + step, 1).astype(np.float64)
        best = np.argmax(drawn[:, None] * shares - used, axis=1)
        chosen[step] = best
        counts[step] = used[rows, best]
        used[rows, best] += 1
    return chosen.T.copy(), counts.T.copy(), used.astype(np.int64)


def weights_by_size(documents: Sequence[int], alpha: float) -> list[float]:
    """Weights proportional to (number of documents)^alpha: what GPT-NeoX documents."""
    total = sum(documents)
    return normalised([(count / total) ** alpha for count in documents])


def weights_by_documents(documents: Sequence[int], alpha: float) -> list[float]:
    """GPT-NeoX's `weight_by_num_documents`: w ~ p^alpha (1 - p), p the share of documents.

    Documented there as proportional to size, which the factor (1 - p) prevents: 10 and 90
    documents get equal weights at alpha 1. Kept, because runs depend on it.
    """
    if len(documents) == 1:
        return [1.0]
    total = sum(documents)
    shares = [count / total for count in documents]
    powers = [share**alpha for share in shares]
    summed = sum(powers)
    raw = [power / summed * (1 - share) for power, share in zip(powers, shares, strict=True)]
    summed = sum(raw)
    return [weight / summed for weight in raw]
