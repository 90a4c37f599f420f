"""Writing token files: aside, then renamed, so that a reader never meets half of one."""

import os
import shutil
from array import array
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neox.data.token_file import DTYPES, HEADER, MAGIC, VERSION, TokenFile, TokenFileError, half

COPY_BYTES = 16 << 20


class TokenFileWriter:
    """Writes `PREFIX.bin` and `PREFIX.idx`; they appear at the end of the `with` block, or never.

    `.idx` is renamed last: a reader that finds a new `.bin` beside an old `.idx` refuses the pair.
    """

    def __init__(self, prefix: str | Path, dtype: np.dtype[np.generic]) -> None:
        self.prefix = Path(prefix)
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._code = _code_of(self.dtype)
        self._sizes = array("i")
        self._documents = array("q", [0])
        self._aside = {
            suffix: half(self.prefix, f"{suffix}.{os.uname().nodename}.{os.getpid()}.tmp")
            for suffix in (".bin", ".idx")
        }
        self.tokens = 0
        self._bin = self._aside[".bin"].open("wb")

    @property
    def documents(self) -> int:
        return len(self._documents) - 1

    def add(self, tokens: ArrayLike) -> None:
        """Append one document of one sequence."""
        ids = np.asarray(tokens)
        stored = ids.astype(self.dtype)
        if ids.dtype != self.dtype and not np.array_equal(stored, ids):
            raise TokenFileError(
                f"{self.prefix}: tokens from {ids.min()} to {ids.max()} do not fit {self.dtype}"
            )
        self._bin.write(stored.tobytes())
        self._sizes.append(stored.size)
        self._documents.append(len(self._sizes))
        self.tokens += stored.size

    def append(self, other: TokenFile) -> None:
        """Append all documents of another token file of the same dtype."""
        if other.dtype != self.dtype:
            raise TokenFileError(f"{other.prefix}: {other.dtype}, but {self.prefix} {self.dtype}")
        before = len(self._sizes)
        with other.bin_path.open("rb") as source:
            shutil.copyfileobj(source, self._bin, COPY_BYTES)
        self._sizes.frombytes(np.ascontiguousarray(other.sizes, np.int32).tobytes())
        self._documents.frombytes((other.documents[1:] + before).astype(np.int64).tobytes())
        self.tokens += len(other.tokens)

    def finish(self) -> None:
        """Write the index and publish both halves."""
        _close_on_disk(self._bin)
        with self._aside[".idx"].open("wb") as index:
            self._write_index(index)
            _close_on_disk(index)
        for suffix in (".bin", ".idx"):
            self._aside[suffix].replace(half(self.prefix, suffix))

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._bin.close()
        for path in self._aside.values():
            path.unlink(missing_ok=True)

    def _write_index(self, index: BinaryIO) -> None:
        sizes: NDArray[np.int32] = np.array(self._sizes, np.int32)
        ends = np.cumsum(sizes, dtype=np.int64) * self.dtype.itemsize
        offsets = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(sizes)]
        documents = np.array(self._documents, np.int64)
        index.write(HEADER.pack(MAGIC, VERSION, self._code, len(sizes), len(documents)))
        index.write(sizes.astype("<i4").tobytes())
        index.write(offsets.astype("<i8").tobytes())
        index.write(documents.astype("<i8").tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()


def _code_of(dtype: np.dtype[np.generic]) -> int:
    for code, known in DTYPES.items():
        if known == dtype:
            return code
    raise TokenFileError(f"{dtype} cannot be stored in a token file")


def _close_on_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
