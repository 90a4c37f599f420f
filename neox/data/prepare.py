"""Text to token files: chunks are encoded by worker processes and joined in order.

Finished parts lie in `OUTPUT.parts/` until the end, so that a killed run goes on where it was.
Neither the number of workers nor a kill changes a byte of the result.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neox.data.documents import Chunk, Shard, chunks, require_files, shards
from neox.data.encoding import Encoder, EncodeSettings
from neox.data.errors import DataError
from neox.data.finished import Written, finished_files, record
from neox.data.line_numbers import BadLine, LineNumbers
from neox.data.order_inputs import content_key
from neox.data.parts import (
    PartReport,
    finished_part,
    finished_shard,
    part_prefix,
    stream_prefix,
)
from neox.data.parts_folder import PartsFolder, Share
from neox.data.progress import Progress
from neox.data.token_file import TokenFile, half
from neox.data.token_writer import TokenFileWriter
from neox.data.workers import Workers

BAD_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class PrepareRequest:
    inputs: tuple[Path, ...]
    output_prefix: Path
    settings: EncodeSettings
    workers: int
    chunk_bytes: int
    skip_bad: bool
    overwrite: bool
    share: Share

    def output(self, stream: str) -> Path:
        """GPT-NeoX's names: `PREFIX_text_document`, `PREFIX_text_label_document`."""
        return self.output_prefix.with_name(f"{self.output_prefix.name}_{stream}_document")


@dataclass(frozen=True, kw_only=True)
class PrepareResult:
    """Of the whole job where this process joined the parts, else of its own share."""

    files: tuple[Written, ...]  # none where another rank joins the parts
    shards: int  # this rank's
    documents: int
    tokens: int  # of the text, labels and rewards left aside
    empty: int
    bad: tuple[tuple[str, str], ...]
    resumed: int  # parts that an earlier run had finished
    was_there: bool = False  # an earlier run had finished it all


def prepare(request: PrepareRequest, progress: Progress) -> PrepareResult:
    """Write the token files. Raises DataError; what was finished by then is used the next time."""
    require_files(request.inputs)
    encoder = Encoder(request.settings)  # what it lacks is said before any work is done
    outputs = [request.output(stream.name) for stream in encoder.streams]
    key = _key(request)
    parts = PartsFolder(half(outputs[0], ".parts"), key, request.share)
    if not request.overwrite and not parts.folder.is_dir():
        there = finished_files(outputs, key)
        if there:
            return _nothing_to_do(there)
        _require_absent(outputs)
    every = shards(request.inputs, request.chunk_bytes)
    mine = request.share.of(every)
    with parts.held():
        reports, resumed = _encode(request, parts.folder, mine, progress)
        with parts.last() as joins:
            if joins:
                reports = _all_reports(parts.folder, every)
                if not any(report.documents for report in reports):
                    parts.remove()
                    raise _nothing(request, reports)
                files = _join(request, encoder, parts.folder, reports)
                record(files, key)
                parts.remove()
            else:
                files = ()
    return PrepareResult(
        files=files,
        shards=len(mine),
        documents=sum(report.documents for report in reports),
        tokens=sum(report.tokens for report in reports),
        empty=sum(report.empty for report in reports),
        bad=_placed([one for report in reports for one in report.bad]),
        resumed=resumed,
    )


def _nothing_to_do(files: tuple[Written, ...]) -> PrepareResult:
    return PrepareResult(
        files=files,
        shards=0,
        documents=files[0].documents,
        tokens=files[0].tokens,
        empty=0,
        bad=(),
        resumed=0,
        was_there=True,
    )


def _encode(
    request: PrepareRequest, folder: Path, mine: list[Shard], progress: Progress
) -> tuple[list[PartReport], int]:
    reports: list[PartReport] = []
    resumed = 0
    reached: dict[tuple[int, int], int] = {}  # bytes of the input read when a chunk is

    def take(report: PartReport) -> None:
        _require_good(request, report)
        reports.append(report)

    def unfinished() -> Iterator[Chunk]:
        nonlocal resumed
        before = at = 0
        for shard in mine:
            for one, consumed in _parts(request, folder, shard):
                if isinstance(one, Chunk):
                    reached[one.shard, one.number] = before + consumed
                    yield one
                else:
                    take(one)
                    resumed += 1
                    progress.skip(before + consumed - at)
                at = before + consumed
            before += shard.size

    tokens = 0
    with Workers(request.workers, folder, request.settings) as workers:
        for report in workers.encode(unfinished()):
            take(report)
            tokens += report.tokens
            progress.update(reached[report.shard, report.number], tokens)
    progress.end()
    return reports, resumed


def _parts(
    request: PrepareRequest, folder: Path, shard: Shard
) -> Iterator[tuple[Chunk | PartReport, int]]:
    """Chunks to encode, or what became of them earlier, and the bytes read by then.

    A shard of which every part is there is not read again.
    """
    finished = finished_shard(folder, shard.number)
    if finished is not None:
        for report in finished:
            yield report, shard.size
        return
    for chunk in chunks(shard, request.chunk_bytes, request.settings.wanted):
        yield finished_part(folder, shard.number, chunk.number) or chunk, chunk.consumed


def _all_reports(folder: Path, every: tuple[Shard, ...]) -> list[PartReport]:
    reports = list[PartReport]()
    for shard in every:
        finished = finished_shard(folder, shard.number)
        if finished is None:
            raise DataError(
                f"{folder}: parts of {shard.paths[0]} are missing; run the same command again"
            )
        reports += finished
    return reports


def _join(
    request: PrepareRequest, encoder: Encoder, folder: Path, reports: list[PartReport]
) -> tuple[Written, ...]:
    files = list[Written]()
    for stream in encoder.streams:
        output = request.output(stream.name)
        with TokenFileWriter(output, stream.dtype) as writer:
            for report in reports:
                part = part_prefix(folder, report.shard, report.number)
                writer.append(TokenFile(stream_prefix(part, stream)))
        files.append(Written(prefix=output, documents=writer.documents, tokens=writer.tokens))
    return tuple(files)


def _require_good(request: PrepareRequest, report: PartReport) -> None:
    if not report.bad or request.skip_bad:
        return
    shown = [f"{place}: {reason}" for place, reason in _placed(report.bad[:BAD_SHOWN])]
    more = len(report.bad) - len(shown)
    lines = "\n  ".join(shown + ([f"and {more} more nearby"] if more else []))
    raise DataError(f"bad input:\n  {lines}\nMend it, or leave such lines out with --skip-bad")


def _placed(bad: Sequence[BadLine]) -> tuple[tuple[str, str], ...]:
    """(file:line, reason) of each."""
    numbers = LineNumbers()
    return tuple((numbers.place(one), one.reason) for one in bad)


def _nothing(request: PrepareRequest, reports: list[PartReport]) -> DataError:
    names = ", ".join(str(path) for path in request.inputs[:3])
    empty, bad = sum(one.empty for one in reports), sum(len(one.bad) for one in reports)
    return DataError(
        f"{names}: no document with a token in it ({empty:,} empty, {bad:,} bad); "
        "nothing was written"
    )


def _require_absent(outputs: list[Path]) -> None:
    for output in outputs:
        if half(output, ".bin").exists() and half(output, ".idx").exists():
            raise DataError(
                f"{output}.bin and .idx exist; give another --output-prefix, or --overwrite"
            )


def _key(request: PrepareRequest) -> str:
    """Names the parts folder by all that the parts depend on."""
    files = [
        [str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns]
        for path in request.inputs
    ]
    settings = request.settings
    vocabulary = [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for named in (settings.vocab_file, settings.merge_file)
        if named is not None
        for path in _files(Path(named))
    ]
    return content_key(
        {
            "inputs": files,
            "settings": asdict(settings),
            "vocabulary": vocabulary,
            "chunk": request.chunk_bytes,
        }
    )


def _files(named: Path) -> list[Path]:
    """A vocabulary is a file, a folder of some, or the name of an encoding."""
    if named.is_dir():
        return sorted(path for path in named.iterdir() if path.suffix in (".json", ".txt"))
    return [named] if named.is_file() else []
