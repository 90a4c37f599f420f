"""Samples by number: s + 1 tokens each, out of one token file or a blend of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neox.data.blend import Blend
from neox.data.errors import DataError
from neox.data.order import Order
from neox.data.order_inputs import OrderInputs
from neox.data.token_file import TokenFile, TokenFileError

NOT_COUNTED = -100  # the label of a token that is no target
LONG_PIECE = 48  # tokens: above, copying piece by piece is faster than one gather


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some samples. Labels are not shifted: the label of a token stands at its own place."""

    tokens: NDArray[np.int64]  # [b, s + 1]; 0 after the end of a shorter sample
    labels: NDArray[np.int64] | None  # [b, s + 1], NOT_COUNTED where no target; None: all count


class Samples(Protocol):
    """The samples of a run in the order in which it reads them."""

    @property
    def inputs(self) -> OrderInputs: ...

    @property
    def labelled(self) -> bool:
        """Do rows have labels?"""

    def __len__(self) -> int:
        """How many samples the order was made for."""

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens [b, s + 1] of the samples `numbers` [b]; any of 0 to len - 1."""

    def rows(self, numbers: NDArray[np.int64]) -> Rows:
        """Tokens and labels of the samples `numbers` [b]."""


class PackedSamples:
    """Documents of one token file, back to back, cut every s tokens.

    `labels` is a file of the same documents, NOT_COUNTED where a token is no target.
    """

    def __init__(
        self, file: TokenFile, order: Order, inputs: OrderInputs, labels: TokenFile | None = None
    ) -> None:
        assert len(order) >= inputs.samples
        self.inputs = inputs
        self.labelled = labels is not None
        self._file = file
        self._order = order
        self._labels = labels

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        _require_in_range(numbers, self.inputs)
        return self._cut(self._file, *self._pieces_of(numbers))

    def rows(self, numbers: NDArray[np.int64]) -> Rows:
        _require_in_range(numbers, self.inputs)
        pieces = self._pieces_of(numbers)
        labels = None if self._labels is None else self._cut(self._labels, *pieces)
        return Rows(tokens=self._cut(self._file, *pieces), labels=labels)

    def _cut(
        self, file: TokenFile, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        width = self.inputs.seq_length + 1
        flat = np.empty(int(lengths.sum()), np.int64)
        if len(flat) % width:
            raise TokenFileError(
                f"{self._file.idx_path} and the index map of its order disagree; the file was "
                "rewritten under a running job. Start the job again"
            )
        _copy_pieces(file, starts, lengths, flat)
        return flat.reshape(-1, width)

    def _pieces_of(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._pieces(self._order.shuffle[numbers].astype(np.int64))

    def _pieces(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start in the token array and length of each piece of a document, sample by sample."""
        first, last = self._order.samples[cells], self._order.samples[cells + 1]
        counts = last[:, 0].astype(np.int64) - first[:, 0] + 1
        ends = np.cumsum(counts)
        begins = ends - counts
        position = np.arange(ends[-1]) + np.repeat(first[:, 0] - begins, counts)
        documents = self._order.documents[position]
        starts = self._file.offsets[documents] // self._file.dtype.itemsize
        lengths = self._file.sizes[documents].astype(np.int64)
        # the last piece ends with the token that the next sample begins with
        lengths[ends - 1] = last[:, 1] + np.int64(1)
        lengths[begins] -= first[:, 1]
        starts[begins] += first[:, 1]
        return starts, lengths


class WholeSamples:
    """Whole documents: those between two rows of the order, cut or filled up to s + 1 tokens."""

    labelled = True  # what fills a sample up never counts

    def __init__(
        self, file: TokenFile, order: Order, inputs: OrderInputs, labels: TokenFile | None = None
    ) -> None:
        assert len(order) >= inputs.samples
        self.inputs = inputs
        self._file = file
        self._order = order
        self._labels = labels or file

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.rows(numbers).tokens

    def rows(self, numbers: NDArray[np.int64]) -> Rows:
        _require_in_range(numbers, self.inputs)
        starts, lengths, filled = self._pieces(self._order.shuffle[numbers].astype(np.int64))
        there = np.arange(self.inputs.seq_length + 1) < filled[:, None]
        tokens, labels = np.zeros(there.shape, np.int64), np.full(there.shape, NOT_COUNTED)
        for file, rows in ((self._file, tokens), (self._labels, labels)):
            flat = np.empty(int(filled.sum()), np.int64)
            _copy_pieces(file, starts, lengths, flat)
            rows[there] = flat
        return Rows(tokens=tokens, labels=labels)

    def _pieces(
        self, cells: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Start and length of each document, and how far each sample [b] is filled."""
        first, after = self._order.samples[cells, 0], self._order.samples[cells + 1, 0]
        counts = (after - first).astype(np.int64)
        ends = np.cumsum(counts)
        begins = ends - counts
        position = np.arange(ends[-1]) + np.repeat(first - begins, counts)
        documents = self._order.documents[position]
        lengths = self._file.sizes[documents].astype(np.int64)
        # only a document alone in its sample can be too long
        lengths = np.minimum(lengths, self.inputs.seq_length + 1)
        starts = self._file.offsets[documents] // self._file.dtype.itemsize
        return starts, lengths, np.add.reduceat(lengths, begins)


class BlendedSamples:
    """Several sets mixed by weight."""

    def __init__(self, sets: Sequence[Samples], mixture: Blend, inputs: OrderInputs) -> None:
        self.inputs = inputs
        self.labelled = sets[0].labelled
        assert all(one.labelled == self.labelled for one in sets)
        self._sets = sets
        self._blend = mixture

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.rows(numbers).tokens

    def rows(self, numbers: NDArray[np.int64]) -> Rows:
        _require_in_range(numbers, self.inputs)
        chosen, within = self._blend.sets[numbers], self._blend.within[numbers]
        tokens = np.empty((len(numbers), self.inputs.seq_length + 1), np.int64)
        labels = np.empty_like(tokens) if self.labelled else None
        for number in np.unique(chosen):
            places = np.flatnonzero(chosen == number)
            part = self._sets[number].rows(within[places])
            tokens[places] = part.tokens
            if labels is not None and part.labels is not None:
                labels[places] = part.labels
        return Rows(tokens=tokens, labels=labels)


def _require_in_range(numbers: NDArray[np.int64], inputs: OrderInputs) -> None:
    assert len(numbers) > 0
    highest = int(numbers.max())
    if highest >= inputs.samples or int(numbers.min()) < 0:
        names = ", ".join(Path(one.path).name for one in inputs.sets)
        raise DataError(
            f"sample {highest:,} of {names}: the order holds {inputs.samples:,} samples, "
            "as many as train_iters x train_batch_size (or eval_iters) asked for"
        )


def _copy_pieces(
    file: TokenFile,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    flat: NDArray[np.int64],
) -> None:
    ends = np.cumsum(lengths)
    if len(flat) < LONG_PIECE * len(lengths):
        source = np.arange(len(flat)) + np.repeat(starts - (ends - lengths), lengths)
        flat[:] = file.tokens[source]
        return
    tokens, begin = file.tokens, 0
    for start, length, end in zip(starts.tolist(), lengths.tolist(), ends.tolist(), strict=True):
        flat[begin:end] = tokens[start : start + length]
        begin = end
