"""Token files: `PREFIX.bin` holds all tokens back to back, `PREFIX.idx` says where each lies.

The format is GPT-NeoX's `mmap` (EleutherAI/gpt-neox ea7aefd8, megatron/data/indexed_dataset.py),
little-endian throughout. `.idx` is a 34-byte header (magic, version, dtype code, number of
sequences S, length D of the document index), then S int32 lengths in tokens, S int64 byte offsets
into `.bin`, D int64 first sequences of each document (first 0, last S).
"""

import difflib
import hashlib
import mmap
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neox.data.errors import DataError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
# GPT-NeoX's table. Megatron-LM's gives 6 and 7 other meanings (megatron/core/datasets/
# indexed_dataset.py: 6 float64, 7 float32): the width of what lies in .bin tells whose it is.
FLOATS: dict[int, np.dtype[np.generic]] = {4: np.dtype("<f4"), 8: np.dtype("<f8")}
DTYPES: dict[int, np.dtype[np.generic]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<i1"),
    3: np.dtype("<i2"),
    4: np.dtype("<i4"),
    5: np.dtype("<i8"),
    6: np.dtype("<f4"),
    7: np.dtype("<f8"),
    8: np.dtype("<u2"),
}
SMALL_VOCABULARY = 65_500  # below it ids fit u16 with room for padding, as the predecessor cut it
SPOTS = 64  # places where the fingerprint looks into .bin
SPOT_BYTES = 4096


class TokenFileError(DataError):
    """A token file that is missing or damaged; the message names the file."""


def token_dtype(vocab_size: int) -> np.dtype[np.generic]:
    """The dtype in which ids of a vocabulary are stored."""
    return np.dtype("<u2") if vocab_size < SMALL_VOCABULARY else np.dtype("<i4")


def half(prefix: Path, suffix: str) -> Path:
    """`PREFIX.bin` or `PREFIX.idx`; not with_suffix, because prefixes hold dots."""
    return Path(f"{prefix}{suffix}")


@dataclass(frozen=True)
class Header:
    dtype: np.dtype[np.generic]
    sequences: int
    document_entries: int

    @property
    def index_bytes(self) -> int:
        return HEADER.size + 12 * self.sequences + 8 * self.document_entries


class TokenFile:
    """A token file, memory-mapped: reading copies nothing and closes with the last view.

    `sizes` int32 [S] tokens, `offsets` int64 [S] bytes, `documents` int64 [D], `tokens` one flat
    array of the file's dtype. A sequence is what samples are made of; in GPT data it is a document.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        self.bin_path = half(self.prefix, ".bin")
        self.idx_path = half(self.prefix, ".idx")
        _require_pair(self.prefix)
        index = _map(self.idx_path)
        header = _read_header(index, self.idx_path)
        count, base = header.sequences, HEADER.size
        self.sizes: NDArray[np.int32] = np.frombuffer(index, "<i4", count, base)
        self.dtype = self._told_apart(header.dtype)
        self.offsets: NDArray[np.int64] = np.frombuffer(index, "<i8", count, base + 4 * count)
        self.documents: NDArray[np.int64] = np.frombuffer(
            index, "<i8", header.document_entries, base + 12 * count
        )
        self._check_documents()
        self.tokens: NDArray[np.generic] = self._map_tokens()

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.sizes)

    def sequence(self, number: int) -> NDArray[np.generic]:
        """The tokens of one sequence, as a view of the file."""
        if not 0 <= number < len(self):
            raise TokenFileError(f"{self.prefix}: no document {number}; it has {len(self)}")
        size = int(self.sizes[number])
        start = int(self.offsets[number]) // self.dtype.itemsize
        tokens = self.tokens[start : start + size]
        if len(tokens) != size:
            raise TokenFileError(
                f"{self.idx_path}: sequence {number} of {size} tokens lies outside {self.bin_path}"
            )
        return tokens

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole index and of 64 places of the tokens: equal for equal content.

        Independent of path and time stamps, so that data may be copied and moved. Reading all
        of `.bin` would take an hour where it takes a second to start.
        """
        digest = hashlib.sha256(_map(self.idx_path))
        raw = self.tokens.view("u1")
        digest.update(len(raw).to_bytes(8, "little"))
        if len(raw) <= SPOTS * SPOT_BYTES:
            digest.update(raw.tobytes())
            return digest.hexdigest()
        step = (len(raw) - SPOT_BYTES) // (SPOTS - 1)
        for start in range(0, len(raw), step):
            digest.update(raw[start : start + SPOT_BYTES].tobytes())
        return digest.hexdigest()

    def verify(self) -> None:
        """Check every entry of the index; opening checks only its ends.

        Raises TokenFileError naming the first entry that is wrong.
        """
        if len(self) and int(self.sizes.min()) < 0:
            raise TokenFileError(f"{self.idx_path}: sequence {self.sizes.argmin()} has < 0 tokens")
        ends = np.cumsum(self.sizes, dtype=np.int64) * self.dtype.itemsize
        wrong = np.flatnonzero(self.offsets[1:] != ends[:-1])
        if len(wrong):
            raise TokenFileError(
                f"{self.idx_path}: sequence {wrong[0] + 1} should begin at byte {ends[wrong[0]]} "
                f"of {self.bin_path.name}, not at {self.offsets[wrong[0] + 1]}"
            )
        backward = np.flatnonzero(np.diff(self.documents) < 0)
        if len(backward):
            raise TokenFileError(
                f"{self.idx_path}: the document index runs backward at document {backward[0] + 1}"
            )

    def _told_apart(self, dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
        values = int(self.sizes.sum(dtype=np.int64)) if dtype in FLOATS.values() else 0
        if values <= 0:
            return dtype
        width, rest = divmod(self.bin_path.stat().st_size, values)
        return FLOATS[width] if rest == 0 and width in FLOATS else dtype

    def _check_documents(self) -> None:
        entries = self.documents
        if len(entries) == 0 or entries[0] != 0 or entries[-1] != len(self):
            ends = "is empty" if len(entries) == 0 else f"runs from {entries[0]} to {entries[-1]}"
            raise TokenFileError(
                f"{self.idx_path}: the document index {ends}, but the file has "
                f"{len(self)} sequences (expected 0 to {len(self)}); write the file again"
            )

    def _map_tokens(self) -> NDArray[np.generic]:
        expected = 0
        if len(self):
            expected = int(self.offsets[-1]) + int(self.sizes[-1]) * self.dtype.itemsize
        found = self.bin_path.stat().st_size
        if found != expected:
            raise TokenFileError(
                f"{self.bin_path}: {found:,} bytes, but {self.idx_path.name} describes "
                f"{expected:,}; the two halves are of different files, or a copy was cut short"
            )
        if found == 0:
            return np.empty(0, self.dtype)
        return np.frombuffer(_map(self.bin_path), self.dtype)


def _require_pair(prefix: Path) -> None:
    halves = [half(prefix, suffix) for suffix in (".bin", ".idx")]
    missing = [path for path in halves if not path.is_file()]
    if not missing:
        return
    if len(missing) == 1:
        there = next(path for path in halves if path not in missing)
        raise TokenFileError(
            f"{missing[0]} does not exist, though {there.name} does; a token file is this pair"
        )
    raise TokenFileError(f"no token file {prefix}: {_hint(prefix)}")


def _hint(prefix: Path) -> str:
    if prefix.suffix in (".bin", ".idx") and prefix.is_file():
        return f"give the prefix, without its ending: {prefix.with_suffix('')}"
    if not prefix.parent.is_dir():
        return f"the folder {prefix.parent} does not exist"
    there = sorted(path.name.removesuffix(".idx") for path in prefix.parent.glob("*.idx"))
    near = difflib.get_close_matches(prefix.name, there, n=1, cutoff=0.4)
    if near:
        return f"{prefix.name}.bin and {prefix.name}.idx do not exist; did you mean {near[0]}?"
    return f"{prefix.parent} holds no {prefix.name}.bin and {prefix.name}.idx"


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:  # an empty file cannot be mapped
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise TokenFileError(f"{path}: cannot be read: {error.strerror}") from None


def _read_header(index: mmap.mmap | bytes, path: Path) -> Header:
    if len(index) < HEADER.size:
        raise TokenFileError(f"{path}: {len(index)} bytes is too short for a token index")
    magic, version, code, sequences, entries = HEADER.unpack(index[: HEADER.size])
    if magic != MAGIC:
        old = magic.startswith(b"TNTIDX")
        kind = "GPT-NeoX's old cached format; tokenise again" if old else "not a token index"
        raise TokenFileError(f"{path}: {kind} (it does not begin with MMIDIDX)")
    if version != VERSION:
        raise TokenFileError(f"{path}: version {version}; only version {VERSION} is known")
    if code not in DTYPES:
        known = ", ".join(f"{number} {dtype.name}" for number, dtype in DTYPES.items())
        raise TokenFileError(f"{path}: dtype code {code} is unknown; known are {known}")
    header = Header(DTYPES[code], sequences, entries)
    if len(index) != header.index_bytes:
        raise TokenFileError(
            f"{path}: {len(index):,} bytes, but its header describes {header.index_bytes:,}; "
            "the file was cut short or written over"
        )
    return header
