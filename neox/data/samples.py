"""Samples by number: s + 1 tokens each, out of one token file or a blend of several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neox.data.blend import Blend
from neox.data.buffers import Buffers
from neox.data.errors import DataError
from neox.data.order import Order
from neox.data.order_inputs import OrderInputs
from neox.data.rows import Rows, mixed
from neox.data.token_file import TokenFile, TokenFileError

LONG_PIECE = 48  # tokens: above, copying piece by piece is faster than one gather


class Samples(Protocol):
    """The samples of a run in the order in which it reads them."""

    @property
    def inputs(self) -> OrderInputs: ...

    @property
    def labelled(self) -> bool:
        """Do rows have labels?"""

    @property
    def paired(self) -> bool:
        """Do rows have rejected answers?"""

    def __len__(self) -> int:
        """How many samples the order was made for."""

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens [b, s + 1] of the samples `numbers` [b]; any of 0 to len - 1."""

    def rows(self, numbers: NDArray[np.int64], *, documents: bool = False) -> Rows:
        """The samples `numbers` [b], and where asked which document each token belongs to."""


# starts and lengths of all pieces of documents, one sample after the other; pieces of each sample
Pieces = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class PackedSamples:
    """Documents of one token file, back to back, cut every s tokens.

    `labels` is a file of the same documents, NOT_COUNTED where a token is no target.
    """

    paired = False

    def __init__(
        self, file: TokenFile, order: Order, inputs: OrderInputs, labels: TokenFile | None = None
    ) -> None:
        assert len(order) >= inputs.samples
        self.inputs = inputs
        self.labelled = labels is not None
        self._file = file
        self._order = order
        self._labels = labels
        self._buffers = Buffers()

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        require_in_range(numbers, self.inputs)
        starts, lengths, _ = self._pieces_of(numbers)
        return self._cut(self._file, starts, lengths)

    def rows(self, numbers: NDArray[np.int64], *, documents: bool = False) -> Rows:
        require_in_range(numbers, self.inputs)
        starts, lengths, counts = self._pieces_of(numbers)
        labels = None if self._labels is None else self._cut(self._labels, starts, lengths)
        tokens = self._cut(self._file, starts, lengths)
        within = np.repeat(numbered(counts), lengths).reshape(tokens.shape) if documents else None
        return Rows(tokens=tokens, labels=labels, documents=within)

    def _cut(
        self, file: TokenFile, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        width = self.inputs.seq_length + 1
        total = int(lengths.sum())
        if total % width:
            raise TokenFileError(
                f"{self._file.idx_path} and the index map of its order disagree; the file was "
                "rewritten under a running job. Start the job again"
            )
        tokens = self._buffers.empty((total // width, width))
        copy_pieces(file, starts, lengths, tokens.reshape(-1))
        return tokens

    def _pieces_of(self, numbers: NDArray[np.int64]) -> Pieces:
        """Start in the token array and length of each piece, and how many a sample has."""
        cells = self._order.shuffle[numbers].astype(np.int64)
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
        return starts, lengths, counts


class BlendedSamples:
    """Several sets mixed by weight."""

    def __init__(self, sets: Sequence[Samples], mixture: Blend, inputs: OrderInputs) -> None:
        self.inputs = inputs
        self.labelled = sets[0].labelled
        self.paired = sets[0].paired
        assert all((one.labelled, one.paired) == (self.labelled, self.paired) for one in sets)
        self._sets = sets
        self._blend = mixture

    def __len__(self) -> int:
        return self.inputs.samples

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.rows(numbers).tokens

    def rows(self, numbers: NDArray[np.int64], *, documents: bool = False) -> Rows:
        require_in_range(numbers, self.inputs)
        chosen, within = self._blend.sets[numbers], self._blend.within[numbers]
        places = {int(number): np.flatnonzero(chosen == number) for number in np.unique(chosen)}
        parts = (
            (at, self._sets[number].rows(within[at].astype(np.int64), documents=documents))
            for number, at in places.items()
        )
        return mixed(parts, len(numbers))


def require_in_range(numbers: NDArray[np.int64], inputs: OrderInputs) -> None:
    assert len(numbers) > 0
    highest = int(numbers.max())
    if highest >= inputs.samples or int(numbers.min()) < 0:
        names = ", ".join(Path(one.path).name for one in inputs.sets)
        raise DataError(
            f"sample {highest:,} of {names}: the order holds {inputs.samples:,} samples, "
            "as many as train_iters x train_batch_size (or eval_iters) asked for"
        )


def numbered(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """0 to count - 1 for each of `counts`, in a row."""
    ends = np.cumsum(counts)
    return (np.arange(ends[-1]) - np.repeat(ends - counts, counts)).astype(np.int32)


def copy_pieces(
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
