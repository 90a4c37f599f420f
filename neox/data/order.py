"""In which order the tokens of a set are read: three index maps, equal to GPT-NeoX's bit for bit.

The documents, repeated for as many epochs as needed and shuffled, form one long stream of tokens;
the stream is cut into samples of s + 1 tokens whose neighbours share one; the samples are
shuffled. Rules and generator are those of GPT-NeoX's `GPT2Dataset` (megatron/data/gpt2_dataset.py
and helpers.cpp): numpy's legacy RandomState(seed), whose streams numpy has frozen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neox.data.errors import DataError

IntArray = NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The index maps of E epochs and N samples.

    Sample i lies at k = `shuffle[i]`: from `samples[k]` to `samples[k + 1]`, both inclusive,
    each (position in `documents`, offset in that document).
    """

    documents: IntArray  # int32 [E x documents] sequence numbers of the token file
    samples: IntArray  # [N + 1, 2] int32, or int64 when large
    shuffle: IntArray  # [N] uint32, or int64 when large

    def __len__(self) -> int:
        """All N samples; GPT-NeoX leaves the last one out."""
        return len(self.shuffle)


def epochs_needed(tokens: int, seq_length: int, samples: int) -> int:
    """The least E with (E tokens - 1) // seq_length >= samples."""
    return max(1, -(-(samples * seq_length + 1) // tokens))


def require_seed(seed: int) -> None:
    """Raises DataError when the generator takes no such seed."""
    if not 0 <= seed < 2**32:
        raise DataError(f"seed: {seed} is outside 0 to {2**32 - 1}, which the data order needs")


def build_order(
    sizes: NDArray[np.int32], chosen: range, *, seq_length: int, samples: int, seed: int
) -> Order:
    """The order of `samples` (at least) samples over the sequences `chosen` of a token file.

    Raises DataError when they hold no token, or the generator takes no such seed.
    """
    require_seed(seed)
    lengths: NDArray[np.int32] = np.array(sizes[chosen.start : chosen.stop])  # aligned copy
    tokens = int(lengths.sum(dtype=np.int64))
    if tokens == 0:
        raise DataError(f"documents {chosen.start} to {chosen.stop} hold no token")
    epochs = epochs_needed(tokens, seq_length, samples)
    generator = np.random.RandomState(seed)
    documents = np.tile(np.arange(chosen.start, chosen.stop, dtype=np.int32), epochs)
    generator.shuffle(documents)  # one shuffle over all epochs, as there
    index = sample_index(lengths[documents - chosen.start], seq_length)
    count = len(index) - 1
    large = count >= np.iinfo(np.uint32).max - 1
    shuffle: IntArray = (
        np.arange(count, dtype=np.int64) if large else np.arange(count, dtype=np.uint32)
    )
    generator.shuffle(shuffle)
    return Order(documents=documents, samples=index, shuffle=shuffle)


def sample_index(lengths: NDArray[np.int32], seq_length: int) -> IntArray:
    """Where each sample begins: [N + 1, 2] of (document in order, offset).

    Sample k begins at token k s of the stream; its document is the first that ends beyond.
    GPT-NeoX walks there document by document; row 0 is (0, 0) even where document 0 is empty.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    count = (int(ends[-1]) - 1) // seq_length
    small = 2 * (count + 1) < np.iinfo(np.int32).max
    begins = np.arange(count + 1, dtype=np.int64) * seq_length
    position = np.searchsorted(ends, begins, side="right")
    shape = (count + 1, 2)
    index: IntArray = np.empty(shape, np.int32) if small else np.empty(shape, np.int64)
    index[:, 0] = position
    index[:, 1] = begins - (ends[position] - lengths[position])
    index[0] = 0
    return index
