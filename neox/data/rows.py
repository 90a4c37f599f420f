"""Some samples side by side, and all that is known of their tokens."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

NOT_COUNTED = -100  # the label of a token that is no target

Places = NDArray[np.intp]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """b samples of s + 1 tokens. Labels are not shifted: a token's label stands at its place."""

    tokens: NDArray[np.int64]  # [b, s + 1]; 0 after the end of a shorter sample
    labels: NDArray[np.int64] | None  # [b, s + 1], NOT_COUNTED where no target; None: all count
    rewards: NDArray[np.float32] | None = None  # [b], of samples that have one
    documents: NDArray[np.int32] | None = None  # [b, s + 1], counted from 0 in each sample
    rejected: "Rows | None" = None  # of pairs: the other answer of each


def mixed(parts: Iterable[tuple[Places, Rows]], count: int) -> Rows:
    """`count` rows out of parts that know different places, all with the same fields."""
    found = list(parts)
    tokens = _mixed(found, count, lambda rows: rows.tokens)
    assert tokens is not None
    rejected = [(at, rows.rejected) for at, rows in found if rows.rejected is not None]
    return Rows(
        tokens=tokens,
        labels=_mixed(found, count, lambda rows: rows.labels),
        rewards=_mixed(found, count, lambda rows: rows.rewards),
        documents=_mixed(found, count, lambda rows: rows.documents),
        rejected=mixed(rejected, count) if rejected else None,
    )


def _mixed(
    parts: list[tuple[Places, Rows]],
    count: int,
    field: Callable[[Rows], NDArray[Number] | None],
) -> NDArray[Number] | None:
    first = field(parts[0][1])
    if first is None:
        return None
    result = np.empty((count, *first.shape[1:]), first.dtype)
    for places, rows in parts:
        values = field(rows)
        assert values is not None, "sets of one blend have the same fields"
        result[places] = values
    return result
