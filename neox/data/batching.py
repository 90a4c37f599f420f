"""From rows to the batches of a step: masks, targets, documents and positions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neox.data.batch import Batch
from neox.data.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which positions count, which see each other, and which token ids may be there at all."""

    eod: int | None = None  # eod_mask_loss: positions whose input is this token do not count
    vocab_size: int | None = None  # a larger id would end in a device-side assertion
    documents: bool = False  # reset_attention_mask: attention stays within a document
    positions: bool = False  # reset_position_ids: each document begins at position 0

    @property
    def by_document(self) -> bool:
        return self.documents or self.positions


def mask_of(rows: Rows, masking: Masking) -> NDArray[np.float32]:
    """[b, s], 1 where the next token counts."""
    count, width = rows.tokens.shape
    mask = np.ones((count, width - 1), np.float32)
    if masking.eod is not None:
        mask[rows.tokens[:, :-1] == masking.eod] = 0
    if rows.labels is not None:
        mask[rows.labels[:, 1:] < 0] = 0
    return mask


def batch_of(
    rows: Rows, mask: NDArray[np.float32], masking: Masking, cut: slice, weight: float
) -> Batch:
    """The rows `cut` of all, without the rejected answers of pairs."""
    labels = None if rows.labels is None else rows.labels[cut, 1:]
    documents = None if rows.documents is None else rows.documents[cut, :-1]
    rewards = None if rows.rewards is None else torch.from_numpy(rows.rewards[cut])
    return Batch(
        tokens=torch.from_numpy(rows.tokens[cut]),
        loss_mask=torch.from_numpy(mask[cut]),
        weight=weight,
        # an index even where it does not count
        targets=None if labels is None else torch.from_numpy(np.maximum(labels, 0)),
        documents=(
            torch.from_numpy(np.ascontiguousarray(documents))
            if documents is not None and masking.documents
            else None
        ),
        positions=(
            torch.from_numpy(positions_within(documents))
            if documents is not None and masking.positions
            else None
        ),
        rewards=rewards,
    )


def pairs_of(chosen: Batch, rejected: Batch) -> Batch:
    """The chosen answers, and below them the rejected ones."""
    return Batch(
        tokens=torch.cat([chosen.tokens, rejected.tokens]),
        loss_mask=torch.cat([chosen.loss_mask, rejected.loss_mask]),
        weight=chosen.weight,
        targets=_below(chosen.targets, rejected.targets),
        documents=_below(chosen.documents, rejected.documents),
        positions=_below(chosen.positions, rejected.positions),
        pairs=True,
    )


def _below(upper: torch.Tensor | None, lower: torch.Tensor | None) -> torch.Tensor | None:
    return None if upper is None or lower is None else torch.cat([upper, lower])


def positions_within(documents: NDArray[np.int32]) -> NDArray[np.int32]:
    """The place [b, s] of each token in its document, of documents [b, s] that lie in a row."""
    begins = np.ones(documents.shape, np.bool_)
    np.not_equal(documents[:, 1:], documents[:, :-1], out=begins[:, 1:])
    first = np.flatnonzero(begins).astype(np.int32)
    lengths = np.diff(first, append=np.int32(documents.size))
    places = np.arange(documents.size, dtype=np.int32) - np.repeat(first, lengths)
    return places.reshape(documents.shape)
