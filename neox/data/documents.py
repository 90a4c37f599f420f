"""Documents out of JSON lines, text and parquet files, in file order, a chunk at a time.

The input is cut into shards, whole files or a piece of a long one, and these into chunks, by sizes
alone: the same input gives the same chunks, whoever reads them.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from neox.data.compressed import opened
from neox.data.errors import DataError
from neox.data.parquet import parquet_rows

PLAIN_LINES = (".jsonl", ".ndjson")  # can be read from the middle
JSON_LINES = (".jsonl", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".ndjson")
PARQUET = (".parquet",)
PIECE = 64  # chunks: how much of a long file one process takes
BLOCK = 1 << 24  # bytes, where only lines are counted
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
    begin: int = 0  # the byte of the file where line 1 of its piece may begin

    def place(self) -> str:
        """File and line; lines before a piece are counted only here, since few are asked for."""
        if not self.line:
            return self.path
        return f"{self.path}:{_lines_before(self.path, self.begin) + self.line}"


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
    records: tuple[Record, ...]
    consumed: int  # bytes of the shard's files read up to here
    is_last: bool  # of its shard


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
    if length <= size or not path.name.lower().endswith(PLAIN_LINES):
        return []
    return [range(begin, min(begin + size, length)) for begin in range(0, length, size)]


def chunks(shard: Shard, chunk_bytes: int, keys: tuple[str, ...]) -> Iterator[Chunk]:
    """All documents of a shard in order, cut after `chunk_bytes`; at least one chunk.

    `keys` are those that will be asked for: a parquet file gives no other column. Raises DataError
    naming file and line where the input cannot be read.
    """
    number, held, size, consumed = 0, list[Record](), 0, 0
    for record, reached in records(shard.paths, keys, shard.piece):
        if size >= chunk_bytes:  # there is more, so what is held is not the last chunk
            yield Chunk(
                shard=shard.number,
                number=number,
                records=tuple(held),
                consumed=consumed,
                is_last=False,
            )
            number, held, size = number + 1, [], 0
        held.append(record)
        size += len(record.raw)
        consumed = reached
    yield Chunk(
        shard=shard.number,
        number=number,
        records=tuple(held),
        consumed=shard.size,
        is_last=True,
    )


def records(
    paths: Sequence[Path], keys: tuple[str, ...], piece: range | None = None
) -> Iterator[tuple[Record, int]]:
    """Each document, and how many bytes of the files are read by then."""
    before = 0
    for path in paths:
        line = 0
        try:
            for record, read in _piece_of_file(path, piece) if piece else _of_file(path, keys):
                line = record.line
                yield record, before + read
        except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
            raise DataError(f"{path}: cannot be read after line {line}: {error}") from None
        before += path.stat().st_size


def _of_file(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Record, int]]:
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


def _piece_of_file(path: Path, piece: range) -> Iterator[tuple[Record, int]]:
    with path.open("rb") as file:
        if piece.start:  # to the first line that begins here: it ends the one before
            file.seek(piece.start - 1)
            file.readline()
        line = 0
        while file.tell() < piece.stop:
            line, text = line + 1, file.readline()
            if not text.isspace():
                record = Record(
                    path=str(path), line=line, kind=Kind.LINES, raw=text, begin=piece.start
                )
                yield record, file.tell() - piece.start


def _lines_before(path: str, begin: int) -> int:
    """Lines that begin before the byte `begin`."""
    if begin == 0:
        return 0
    count, left = 1, begin - 1  # a line that begins at `begin` is not before it
    with Path(path).open("rb") as file:
        while left:
            block = file.read(min(left, BLOCK))
            count += block.count(b"\n")
            left -= len(block)
    return count
