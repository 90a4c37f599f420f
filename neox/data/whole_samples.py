"""Samples of whole documents: cut or filled up, one by one or in pairs of answers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neox.data.order import IntArray, Order
from neox.data.order_inputs import OrderInputs
from neox.data.rows import NOT_COUNTED, Rows
from neox.data.samples import copy_pieces, numbered, require_in_range
from neox.data.token_file import TokenFile


class WholeSamples:
    """Whole documents: those between two rows of the order, cut or filled up to s + 1 tokens.

    `labels` is a file of the same documents, NOT_COUNTED where a token is no target; `rewards`,
    where a sample is one document, has the document's reward as its first value.
    """

    labelled = True  # what fills a sample up never counts
    paired = False

    def __init__(
        self,
        file: TokenFile,
        order: Order,
        inputs: OrderInputs,
        labels: TokenFile | None = None,
        rewards: TokenFile | None = None,
    ) -> None:
        assert len(order) >= inputs.samples
        self.inputs = inputs
        self._file = file
        self._order = order
        self._labels = labels or file
        self._rewards = rewards

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.rows(numbers).tokens

    def rows(self, numbers: NDArray[np.int64], *, documents: bool = False) -> Rows:
        require_in_range(numbers, self.inputs)
        ids, counts = self._documents_of(numbers)
        # only a document alone in its sample can be too long
        lengths = np.minimum(self._file.sizes[ids].astype(np.int64), self.inputs.seq_length + 1)
        filled = np.add.reduceat(lengths, np.cumsum(counts) - counts)
        there = np.arange(self.inputs.seq_length + 1) < filled[:, None]
        starts = self._file.offsets[ids] // self._file.dtype.itemsize
        tokens, labels = np.zeros(there.shape, np.int64), np.full(there.shape, NOT_COUNTED)
        for file, rows in ((self._file, tokens), (self._labels, labels)):
            flat = np.empty(int(filled.sum()), np.int64)
            copy_pieces(file, starts, lengths, flat)
            rows[there] = flat
        within = None
        if documents:  # what fills the sample up is a document more
            within = np.repeat(counts.astype(np.int32), there.shape[1]).reshape(there.shape)
            within[there] = np.repeat(numbered(counts), lengths)
        rewards = None if self._rewards is None else first_values(self._rewards, ids)
        return Rows(tokens=tokens, labels=labels, rewards=rewards, documents=within)

    def _documents_of(self, numbers: NDArray[np.int64]) -> tuple[IntArray, NDArray[np.int64]]:
        """All documents of the samples, one sample after the other, and how many each has."""
        cells = self._order.shuffle[numbers].astype(np.int64)
        first, after = self._order.samples[cells, 0], self._order.samples[cells + 1, 0]
        counts = (after - first).astype(np.int64)
        return self._order.documents[np.repeat(first, counts) + numbered(counts)], counts


class PairedSamples:
    """Two answers each: a chosen document, and the rejected one of the same number."""

    labelled = True
    paired = True

    def __init__(self, chosen: WholeSamples, rejected: WholeSamples) -> None:
        self.inputs = chosen.inputs
        self._chosen = chosen
        self._rejected = rejected

    def __len__(self) -> int:
        return len(self._chosen)

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._chosen.read(numbers)

    def rows(self, numbers: NDArray[np.int64], *, documents: bool = False) -> Rows:
        chosen = self._chosen.rows(numbers, documents=documents)
        return replace(chosen, rejected=self._rejected.rows(numbers, documents=documents))


def first_values(file: TokenFile, documents: IntArray) -> NDArray[np.float32]:
    """The first value of each of the documents."""
    starts = file.offsets[documents] // file.dtype.itemsize
    return np.asarray(file.tokens[starts], np.float32)
