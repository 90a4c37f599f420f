"""What is in a token file: counts, lengths, entropy."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neox.data.errors import DataError
from neox.data.token_file import TokenFile

BLOCK = 1 << 24  # tokens counted at a time


@dataclass(frozen=True, kw_only=True)
class Description:
    """Some documents of a token file, in file order."""

    documents: int
    tokens: int
    shortest: int
    median: float
    longest: int
    unigram_entropy: float  # nats per token


def describe(file: TokenFile, chosen: range) -> Description:
    """Raises DataError when the documents hold no token, or values that are not token ids."""
    sizes = np.array(file.sizes[chosen.start : chosen.stop])
    if sizes.sum(dtype=np.int64) == 0:
        raise DataError(f"{file.prefix}: documents {chosen.start} to {chosen.stop} hold no token")
    return Description(
        documents=len(sizes),
        tokens=int(sizes.sum(dtype=np.int64)),
        shortest=int(sizes.min()),
        median=float(np.median(sizes)),
        longest=int(sizes.max()),
        unigram_entropy=unigram_entropy(file, chosen),
    )


def unigram_entropy(file: TokenFile, chosen: range) -> float:
    """Entropy in nats of the tokens' own frequencies: -sum p ln p.

    No model that ignores context can have a lower mean loss on these tokens.
    """
    counts = np.zeros(0, np.int64)
    for block in _blocks(file, chosen):
        if block.dtype.kind not in "iu" or int(block.min()) < 0:
            raise DataError(f"{file.prefix}: holds labels or numbers, not token ids")
        more = np.bincount(block)
        if len(more) < len(counts):
            more, counts = counts, more
        more[: len(counts)] += counts
        counts = more
    present = counts[counts > 0].astype(np.float64)
    total = float(present.sum())
    return math.log(total) - float((present * np.log(present)).sum()) / total


def _blocks(file: TokenFile, chosen: range) -> list[NDArray[np.generic]]:
    width = file.dtype.itemsize
    begin = int(file.offsets[chosen.start]) // width
    last = chosen.stop - 1
    end = int(file.offsets[last]) // width + int(file.sizes[last])
    return [file.tokens[at : min(at + BLOCK, end)] for at in range(begin, end, BLOCK)]
