"""The other ways from documents to samples: whole documents, and epochs that stay as they are.

`pack_until_overflow` and `unpacked` follow GPT-NeoX (megatron/data/gpt2_dataset.py), its order of
documents included, with its faults mended: only the documents of the part are read, so that
splits do not leak; a document that is left out at the end of a round does not end the run; a
sample ends with its last document, and does not hold the first token of the next.

`per_epoch_order` is ours. The predecessor shuffles the documents of all epochs together, so that
a longer run is another run from its first sample; here each epoch is shuffled by itself, from the
seed and its number, so that a longer run begins with all that the shorter one read. The price: up
to s tokens at the end of each epoch belong to no sample.
"""

import numpy as np
from numpy.typing import NDArray

from neox.data.errors import DataError
from neox.data.order import Order, require_seed, sample_index

Mask = NDArray[np.bool_]


def per_epoch_order(
    sizes: NDArray[np.int32], chosen: range, *, seq_length: int, samples: int, seed: int
) -> Order:
    """At least `samples` samples, in whole epochs; a longer order begins with a shorter one.

    Raises DataError where one epoch does not hold a sample.
    """
    require_seed(seed)
    lengths: NDArray[np.int32] = np.array(sizes[chosen.start : chosen.stop])
    each = (int(lengths.sum(dtype=np.int64)) - 1) // seq_length
    if each < 1:
        raise DataError(
            f"documents {chosen.start} to {chosen.stop} hold less than one sample of "
            f"seq_length {seq_length} + 1 tokens, as order: per-epoch needs; use order: gpt-neox"
        )
    documents, rows, shuffle = [], [], []
    for epoch in range(-(-samples // each)):
        generator = np.random.RandomState([seed, epoch])
        order = generator.permutation(len(lengths)).astype(np.int32)
        index = sample_index(lengths[order], seq_length).astype(np.int64)
        index[:, 0] += epoch * len(lengths)
        documents.append(order + np.int32(chosen.start))
        rows.append(index)
        shuffle.append(generator.permutation(each) + epoch * (each + 1))  # a row more than cells
    return Order(
        documents=np.concatenate(documents),
        samples=np.concatenate(rows),
        shuffle=np.concatenate(shuffle),
    )


def usable(
    sizes: NDArray[np.int32], chosen: range, *, seq_length: int, allow_chopped: bool, masked: Mask
) -> Mask:
    """Which of the documents `chosen` become samples.

    Raises DataError when none does.
    """
    lengths = sizes[chosen.start : chosen.stop]
    kept: Mask = (lengths > 0) & ~masked
    if not allow_chopped:
        kept &= lengths <= seq_length + 1
    if not kept.any():
        raise DataError(
            f"none of documents {chosen.start} to {chosen.stop} can be a sample: all are empty, "
            "masked by their labels"
            + ("" if allow_chopped else f", or longer than seq_length {seq_length} + 1")
        )
    return kept


def overflow_order(
    sizes: NDArray[np.int32], chosen: range, kept: Mask, *, seq_length: int, samples: int, seed: int
) -> Order:
    """Shuffled documents, as many a sample as fit whole; row k + 1 is the end of sample k."""
    require_seed(seed)
    generator = np.random.RandomState(seed)
    shuffle = np.arange(samples)
    generator.shuffle(shuffle)
    lengths = sizes[chosen.start : chosen.stop].tolist()
    keep = kept.tolist()
    round_order = np.arange(len(lengths))
    documents, begins, filled = list[int](), list[int](), seq_length + 2
    while len(begins) <= samples:
        generator.shuffle(round_order)
        for document in round_order.tolist():
            if not keep[document]:
                continue
            filled += lengths[document]
            if filled > seq_length + 1:
                begins.append(len(documents))
                filled = lengths[document]
                if len(begins) > samples:
                    break
            documents.append(document + chosen.start)
    return _whole(np.array(documents, np.int32), np.array(begins), shuffle)


def unpacked_order(chosen: range, kept: Mask, *, samples: int, seed: int) -> Order:
    """One document a sample, round after round in file order, the samples then shuffled."""
    require_seed(seed)
    shuffle = np.arange(samples)
    np.random.RandomState(seed).shuffle(shuffle)
    there = np.flatnonzero(kept) + chosen.start
    documents = np.resize(there, samples).astype(np.int32)
    return _whole(documents, np.arange(samples + 1), shuffle)


def _whole(
    documents: NDArray[np.int32], begins: NDArray[np.int64], shuffle: NDArray[np.int64]
) -> Order:
    rows = np.stack([begins, np.zeros_like(begins)], axis=1)
    return Order(documents=documents, samples=rows, shuffle=shuffle)
