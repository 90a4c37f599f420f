"""Documents out of JSON lines, text and parquet files, in file order, a chunk at a time.

The input is cut into shards, whole files or a piece of a long one, and these into chunks, by sizes
alone: the same input gives the same chunks, whoever reads them. A chunk names the bytes of plain
files, which the worker that encodes them reads itself; packed files are read by one process, and
their documents go along.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from neox.data.compressed import PACKED, opened
from neox.data.errors import DataError
from neox.data.parquet import parquet_rows

PLAIN_LINES = (".jsonl", ".ndjson")  # can be read from the middle
JSON_LINES = (".jsonl", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".ndjson")
PARQUET = (".parquet",)
BLOCK = 4_000_000  # bytes, where documents are read one after the other
PIECE = 64  # chunks: how much of a long file one process takes
NOT_READ = (".xz", ".bz2", ".zip", ".tar", ".tar.gz", ".tgz")


class Kind(StrEnum):
    LINES = "lines"  # one JSON object a line
    ROWS = "rows"  # of a parquet file, handed on as JSON
    WHOLE = "whole"  # one document a file


@dataclass(frozen=True, kw_only=True)
class Record:
    """One document as it stands in the input."""

    path: str
    line: int  # from 1, rows of a parquet file, too; 0 where the file is the document
    kind: Kind
    raw: bytes
    begin: int = 0  # the byte of the file from which lines are counted


@dataclass(frozen=True, kw_only=True)
class Source:
    """Bytes of a plain file that nobody has read yet: the lines that begin there, or all of it."""

    path: Path
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Files that follow each other, or a piece of one: what one process reads on its own."""

    number: int
    paths: tuple[Path, ...]
    size: int  # bytes
    piece: range | None = None  # of the only file: the lines that begin at these bytes


@dataclass(frozen=True, kw_only=True)
class Chunk:
    shard: int
    number: int  # within the shard
    items: tuple[Record | Source, ...]
    consumed: int  # bytes of the shard's files that are in chunks up to here
    is_last: bool  # of its shard

    def records(self) -> Iterator[Record]:
        """The documents, reading what nobody has read. Raises DataError naming the file."""
        for item in self.items:
            if isinstance(item, Record):
                yield item
            else:
                yield from _records_of(item)


def kind_of(path: Path) -> Kind:
    """Raises DataError for forms that are not read."""
    name = path.name.lower()
    if name.endswith(NOT_READ):
        raise DataError(
            f"{path}: {path.suffix} is not read; give .jsonl, .jsonl.gz, .jsonl.zst, .parquet or "
            "text files"
        )
    if name.endswith(PARQUET):
        return Kind.ROWS
    return Kind.LINES if name.endswith(JSON_LINES) else Kind.WHOLE


def require_files(paths: Sequence[Path]) -> None:
    """Raises DataError naming all inputs that are not there, before any work is done."""
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"--input: {', '.join(missing)}: no such file")
    for path in paths:
        kind_of(path)


def shards(paths: Sequence[Path], shard_bytes: int) -> tuple[Shard, ...]:
    """The files in order, each shard ending with the file that fills `shard_bytes`.

    JSON lines that are not packed are cut into pieces, so that several processes share one file.
    """
    found, held, size = list[Shard](), list[Path](), 0
    for path in paths:
        length = path.stat().st_size
        pieces = _pieces(path, length, PIECE * shard_bytes)
        if not pieces:
            held.append(path)
            size += length
        if held and (pieces or size >= shard_bytes):
            found.append(Shard(number=len(found), paths=tuple(held), size=size))
            held, size = [], 0
        for piece in pieces:
            found.append(Shard(number=len(found), paths=(path,), size=len(piece), piece=piece))
    if held:
        found.append(Shard(number=len(found), paths=tuple(held), size=size))
    return tuple(found)


def _pieces(path: Path, length: int, size: int) -> list[range]:
    if length <= size or not _is_plain_lines(path):
        return []
    return [range(begin, min(begin + size, length)) for begin in range(0, length, size)]


def chunks(shard: Shard, chunk_bytes: int, keys: tuple[str, ...]) -> Iterator[Chunk]:
    """All documents of a shard in order, cut after `chunk_bytes`; at least one chunk.

    `keys` are those that will be asked for: a parquet file gives no other column. Raises DataError
    naming file and line where the input cannot be read.
    """
    number, held, size, consumed = 0, list[Record | Source](), 0, 0
    for item, length, reached in _items(shard, chunk_bytes, keys):
        if size >= chunk_bytes:  # there is more, so what is held is not the last chunk
            yield Chunk(
                shard=shard.number,
                number=number,
                items=tuple(held),
                consumed=consumed,
                is_last=False,
            )
            number, held, size = number + 1, [], 0
        held.append(item)
        size += length
        consumed = reached
    yield Chunk(
        shard=shard.number,
        number=number,
        items=tuple(held),
        consumed=shard.size,
        is_last=True,
    )


def records(paths: Sequence[Path], keys: tuple[str, ...]) -> Iterator[Record]:
    """Each document of the files, in order."""
    size = sum(path.stat().st_size for path in paths)
    whole = Shard(number=0, paths=tuple(paths), size=size)
    for chunk in chunks(whole, BLOCK, keys):
        yield from chunk.records()


def _items(
    shard: Shard, source_bytes: int, keys: tuple[str, ...]
) -> Iterator[tuple[Record | Source, int, int]]:
    """What chunks are made of: an item, its size, and the bytes of the shard up to here."""
    before = 0
    for path in shard.paths:
        length = path.stat().st_size
        if _is_plain_text(path):
            yield Source(path=path, begin=0, end=length), length, before + length
        elif _is_plain_lines(path):
            cut = shard.piece or range(length)
            for begin in range(cut.start, cut.stop, source_bytes):
                end = min(begin + source_bytes, cut.stop)
                yield (
                    Source(path=path, begin=begin, end=end),
                    end - begin,
                    before + end - cut.start,
                )
        else:
            for record, read in _packed_records(path, keys):
                yield record, len(record.raw), before + read
        before += length


def _is_plain_text(path: Path) -> bool:
    return kind_of(path) is Kind.WHOLE and path.suffix.lower() not in PACKED


def _is_plain_lines(path: Path) -> bool:
    return path.name.lower().endswith(PLAIN_LINES)


def _packed_records(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Record, int]]:
    """Each document, and how many bytes of the file are read by then."""
    line = 0
    try:
        for record, read in _of_packed(path, keys):
            line = record.line
            yield record, read
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise DataError(f"{path}: cannot be read after line {line}: {error}") from None


def _of_packed(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Record, int]]:
    kind = kind_of(path)
    if kind is Kind.ROWS:
        for row, (raw, read) in enumerate(parquet_rows(path, keys), start=1):
            yield Record(path=str(path), line=row, kind=kind, raw=raw), read
        return
    with path.open("rb") as file:
        content = opened(file, path)
        if kind is Kind.WHOLE:
            yield Record(path=str(path), line=0, kind=kind, raw=content.read()), file.tell()
            return
        for line, text in enumerate(content, start=1):
            if not text.isspace():
                yield Record(path=str(path), line=line, kind=kind, raw=text), file.tell()


def _records_of(source: Source) -> Iterator[Record]:
    path, kind = str(source.path), kind_of(source.path)
    try:
        with source.path.open("rb") as file:
            if kind is Kind.WHOLE:
                yield Record(path=path, line=0, kind=kind, raw=file.read())
                return
            if source.begin:  # to the first line that begins here: it ends the one before
                file.seek(source.begin - 1)
                file.readline()
            at, line = file.tell(), 0
            while at < source.end:
                line, text = line + 1, file.readline()
                at += len(text)
                if not text.isspace():
                    yield Record(path=path, line=line, kind=kind, raw=text, begin=source.begin)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
