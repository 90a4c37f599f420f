"""Mixing several sets by weight, sample by sample.

The rules are GPT-NeoX's (megatron/data/data_utils.py, blendable_dataset.py and helpers.cpp), so
that a blended run reads the same samples in the same order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neox.data.errors import DataError
from neox.data.order import IntArray

SPARE = 1.005  # each set is asked for half a percent more than its share
MOST_SETS = 255  # the set of a sample is stored in a byte


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Sample i of the blend is sample `within[i]` of set `sets[i]`."""

    sets: IntArray  # uint8 [n]
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
    """Give each next sample to the set that lies furthest behind its share; first set on a tie."""
    shares = normalised(weights)
    sets = np.empty(samples, np.uint8)
    within = np.empty(samples, np.int64)
    used = [0] * len(shares)
    numbers = range(len(shares))
    for i in range(samples):
        drawn = float(i or 1)
        behind = [shares[d] * drawn - used[d] for d in numbers]
        chosen = behind.index(max(behind))
        sets[i] = chosen
        within[i] = used[chosen]
        used[chosen] += 1
    return Blend(sets=sets, within=within)


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
