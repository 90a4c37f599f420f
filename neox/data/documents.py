"""Documents out of text files and JSON lines, in file order, a chunk at a time."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from neox.data.errors import DataError

JSON_LINES = (".jsonl", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".ndjson")
NOT_YET = (".parquet", ".xz", ".bz2", ".zip", ".tar")
PACKED_BYTES = 1 << 17  # read at a time


class Kind(StrEnum):
    LINES = "lines"  # one JSON object a line
    WHOLE = "whole"  # one document a file


@dataclass(frozen=True, kw_only=True)
class Record:
    """One document as it stands in the input."""

    path: str
    line: int  # from 1; 0 where the file is the document
    kind: Kind
    raw: bytes

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, kw_only=True)
class Chunk:
    number: int
    records: tuple[Record, ...]
    consumed: int  # bytes of the input files read up to here


class BadRecord(ValueError):
    """A record without a text."""


def text_of(record: Record, key: str) -> str:
    """The document's text. Raises BadRecord saying what is wrong with it."""
    try:
        if record.kind is Kind.WHOLE:
            return record.raw.decode()
        parsed: object = json.loads(record.raw)
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise BadRecord("not a JSON object")
    if key not in parsed:
        raise BadRecord(f"no key {key!r}; it has {', '.join(map(repr, parsed)) or 'none'}")
    text = parsed[key]
    if not isinstance(text, str):
        raise BadRecord(f"{key!r} is not a text")
    if any("\ud800" <= one <= "\udfff" for one in text):  # "\ud800" is JSON, and no text
        raise BadRecord(f"{key!r} holds half a surrogate pair")
    return text


def kind_of(path: Path) -> Kind:
    """Raises DataError for compressed and columnar forms that are not read."""
    name = path.name.lower()
    if name.endswith(NOT_YET):
        raise DataError(
            f"{path}: {path.suffix} is not read; give .jsonl, .jsonl.gz, .jsonl.zst or text files"
        )
    return Kind.LINES if name.endswith(JSON_LINES) else Kind.WHOLE


def require_files(paths: Sequence[Path]) -> None:
    """Raises DataError naming all inputs that are not there, before any work is done."""
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"--input: {', '.join(missing)}: no such file")
    for path in paths:
        kind_of(path)


def chunks(paths: Sequence[Path], chunk_bytes: int) -> Iterator[Chunk]:
    """All documents in order, cut after `chunk_bytes`; the same input gives the same chunks.

    Raises DataError naming file and line where the input cannot be read.
    """
    number, held, size, consumed = 0, list[Record](), 0, 0
    for record, consumed in _records(paths):
        held.append(record)
        size += len(record.raw)
        if size >= chunk_bytes:
            yield Chunk(number=number, records=tuple(held), consumed=consumed)
            number, held, size = number + 1, [], 0
    if held:
        yield Chunk(number=number, records=tuple(held), consumed=consumed)


def _records(paths: Sequence[Path]) -> Iterator[tuple[Record, int]]:
    before = 0
    for path in paths:
        line = 0
        try:
            with path.open("rb") as raw:
                content = _opened(raw, path)
                if kind_of(path) is Kind.WHOLE:
                    record = Record(path=str(path), line=0, kind=Kind.WHOLE, raw=content.read())
                    yield record, before + raw.tell()
                else:
                    for line, text in enumerate(content, start=1):
                        if not text.isspace():
                            record = Record(path=str(path), line=line, kind=Kind.LINES, raw=text)
                            yield record, before + raw.tell()
        except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
            raise DataError(f"{path}: cannot be read after line {line}: {error}") from None
        before += path.stat().st_size


def _opened(raw: BinaryIO, path: Path) -> BinaryIO | io.BufferedIOBase:
    """The content of a file, decompressed by its ending."""
    match path.suffix.lower():
        case ".gz":
            return gzip.GzipFile(fileobj=raw)
        case ".zst":
            return io.BufferedReader(_Unzstd(raw, path))
        case _:
            return raw


class _Unzstd(io.RawIOBase):
    """A .zst file of any number of frames; damage is an OSError, as gzip's is.

    Frame by frame, because the library's own reader takes a file cut short for its end.
    """

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        try:
            import zstandard  # noqa: PLC0415  # optional
        except ImportError:
            raise DataError(f"{path}: needs zstandard; pip install 'neox[data]'") from None
        self._error = zstandard.ZstdError
        # the Pile's files were made with --long=31: windows up to 2 GiB
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._raw = raw
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            packed = self._packed or self._raw.read(PACKED_BYTES)
            if not packed:
                if self._frame is not None:
                    raise OSError("the file was cut short: its last frame does not end")
                return 0
            self._unpack(packed)
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size

    def _unpack(self, packed: bytes) -> None:
        frame = self._frame or self._decompressor.decompressobj()
        try:
            self._plain = memoryview(frame.decompress(packed))
        except self._error as error:
            raise OSError(str(error)) from None
        self._packed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
