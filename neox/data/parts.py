"""One chunk of documents becomes one small token file a stream; what a worker process does."""

import contextlib
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neox.data.documents import Chunk
from neox.data.encoding import Encoder, EncodeSettings, Ids, Stream
from neox.data.errors import DataError
from neox.data.line_numbers import BadLine
from neox.data.token_file import half
from neox.data.token_writer import TokenFileWriter


@dataclass(frozen=True, kw_only=True)
class PartReport:
    """What became of a chunk; its file is written last and says that the part is whole."""

    shard: int
    number: int  # within the shard
    is_last: bool  # of its shard
    documents: int
    tokens: int  # of the text, labels and rewards left aside
    empty: int
    bad: tuple[BadLine, ...]


def part_prefix(folder: Path, shard: int, number: int) -> Path:
    return folder / f"{shard:06d}-{number:06d}"


def stream_prefix(part: Path, stream: Stream) -> Path:
    return half(part, f".{stream.name}")


def finished_part(folder: Path, shard: int, number: int) -> PartReport | None:
    """The report of a part that an earlier run finished."""
    try:
        saved = json.loads(half(part_prefix(folder, shard, number), ".json").read_text())
    except OSError:
        return None
    bad = tuple(BadLine(**one) for one in saved.pop("bad"))
    return PartReport(bad=bad, **saved)


def finished_shard(folder: Path, shard: int) -> list[PartReport] | None:
    """The reports of all parts of a shard; None where one is still to be made."""
    found = list[PartReport]()
    while not found or not found[-1].is_last:
        report = finished_part(folder, shard, len(found))
        if report is None:
            return None
        found.append(report)
    return found


def write_part(folder: Path, chunk: Chunk, encoder: Encoder) -> PartReport:
    encoded = encoder.encode(chunk.records())
    prefix = part_prefix(folder, chunk.shard, chunk.number)
    _write_streams(prefix, encoder.streams, encoded.documents)
    report = PartReport(
        shard=chunk.shard,
        number=chunk.number,
        is_last=chunk.is_last,
        documents=len(encoded.documents),
        tokens=_text_tokens(encoder.streams, encoded.documents),
        empty=encoded.empty,
        bad=encoded.bad,
    )
    aside = half(prefix, ".json.tmp")
    aside.write_text(json.dumps(asdict(report)))
    aside.replace(half(prefix, ".json"))
    return report


def _write_streams(
    prefix: Path, streams: Sequence[Stream], documents: Sequence[tuple[Ids, ...]]
) -> None:
    with ExitStack() as opened:
        writers = [
            opened.enter_context(TokenFileWriter(stream_prefix(prefix, one), one.dtype))
            for one in streams
        ]
        for rows in documents:
            for writer, row in zip(writers, rows, strict=True):
                writer.add(_stored(row, writer.dtype))


def _stored(row: Ids, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    try:
        return np.array(row, dtype)
    except OverflowError:
        raise DataError(f"tokens from {min(row)} to {max(row)} do not fit {dtype}") from None


def _text_tokens(streams: Sequence[Stream], documents: Sequence[tuple[Ids, ...]]) -> int:
    return sum(
        len(row)
        for rows in documents
        for stream, row in zip(streams, rows, strict=True)
        if stream.is_text
    )


def work(connection: Connection, folder: Path, settings: EncodeSettings) -> None:
    """Take chunks and give reports until the other end closes, as it does if it is killed."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one worker, one core
    # Ctrl-C reaches every process of the terminal: the parent decides, its closing ends us
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        encoder = Encoder(settings)
        while True:
            chunk = connection.recv()
            try:
                connection.send(write_part(folder, chunk, encoder))
            except (DataError, OSError) as error:
                connection.send(DataError(str(error)))
