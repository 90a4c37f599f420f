"""Small token files for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neox.data.token_writer import TokenFileWriter


def write_tokens(prefix: Path, documents: Sequence[Sequence[int]], dtype: str = "<u2") -> Path:
    with TokenFileWriter(prefix, np.dtype(dtype)) as writer:
        for document in documents:
            writer.add(np.array(document, np.int64))
    return prefix


def numbered(sizes: Sequence[int]) -> list[list[int]]:
    """Documents of which no two tokens are equal."""
    ends = np.cumsum(sizes)
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
