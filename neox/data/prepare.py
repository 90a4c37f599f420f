"""Text to token files: chunks are encoded by worker processes and joined in order.

Finished parts lie in `OUTPUT.parts/` until the end, so that a killed run goes on where it was.
Neither the number of workers nor a kill changes a byte of the result.
"""

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from neox.data.documents import Chunk, chunks, require_files
from neox.data.errors import DataError
from neox.data.order_inputs import content_key
from neox.data.parts import EncodeSettings, PartReport, finished_part, mender, part_prefix
from neox.data.progress import Progress
from neox.data.token_file import TokenFile, half, token_dtype
from neox.data.token_writer import TokenFileWriter
from neox.data.workers import Workers

BAD_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class PrepareRequest:
    inputs: tuple[Path, ...]
    output: Path  # prefix of the token file
    settings: EncodeSettings
    workers: int
    chunk_bytes: int
    skip_bad: bool
    overwrite: bool


@dataclass(frozen=True, kw_only=True)
class PrepareResult:
    documents: int
    tokens: int
    empty: int
    bad: tuple[tuple[str, str], ...]
    resumed: int  # parts that an earlier run had finished


def output_prefix(prefix: Path) -> Path:
    """GPT-NeoX's name for the text key: `PREFIX_text_document`."""
    return prefix.with_name(f"{prefix.name}_text_document")


def prepare(request: PrepareRequest, progress: Progress) -> PrepareResult:
    """Write the token file. Raises DataError; what was finished by then is used the next time."""
    require_files(request.inputs)
    _require_eod(request.settings)
    if request.settings.ftfy:
        mender()  # missing, it is said before any work is done
    parts = half(request.output, ".parts")
    folder = parts / _key(request)
    if not request.overwrite and not folder.is_dir():
        _require_absent(request.output)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(parts):
        _remove_others(parts, folder)
        reports, resumed = _encode(request, folder, progress)
        result = _result(reports, resumed)
        if result.documents:
            _join(request, folder, len(reports))
        shutil.rmtree(parts)
    _require_documents(request, result)
    return result


def _encode(
    request: PrepareRequest, folder: Path, progress: Progress
) -> tuple[list[PartReport], int]:
    reports: list[PartReport] = []
    resumed = 0
    consumed: dict[int, int] = {}

    def unfinished() -> Iterator[Chunk]:
        nonlocal resumed
        for chunk in chunks(request.inputs, request.chunk_bytes):
            report = finished_part(folder, chunk.number)
            if report is None:
                consumed[chunk.number] = chunk.consumed
                yield chunk
                continue
            _require_good(request, report)
            reports.append(report)
            resumed += 1
            progress.skip(chunk.consumed)

    tokens = 0
    with Workers(request.workers, folder, request.settings) as workers:
        for report in workers.encode(unfinished()):
            _require_good(request, report)
            reports.append(report)
            tokens += report.tokens
            progress.update(consumed[report.number], tokens)
    progress.end()
    return sorted(reports, key=lambda report: report.number), resumed


def _join(request: PrepareRequest, folder: Path, count: int) -> None:
    dtype = token_dtype(request.settings.load().vocab_size)
    with TokenFileWriter(request.output, dtype) as writer:
        for number in range(count):
            writer.append(TokenFile(part_prefix(folder, number)))


def _result(reports: list[PartReport], resumed: int) -> PrepareResult:
    return PrepareResult(
        documents=sum(report.documents for report in reports),
        tokens=sum(report.tokens for report in reports),
        empty=sum(report.empty for report in reports),
        bad=tuple(one for report in reports for one in report.bad),
        resumed=resumed,
    )


def _require_good(request: PrepareRequest, report: PartReport) -> None:
    if not report.bad or request.skip_bad:
        return
    shown = [f"{place}: {reason}" for place, reason in report.bad[:BAD_SHOWN]]
    more = len(report.bad) - len(shown)
    lines = "\n  ".join(shown + ([f"and {more} more nearby"] if more else []))
    raise DataError(f"bad input:\n  {lines}\nMend it, or leave such lines out with --skip-bad")


def _require_documents(request: PrepareRequest, result: PrepareResult) -> None:
    if result.documents == 0:
        names = ", ".join(str(path) for path in request.inputs[:3])
        raise DataError(
            f"{names}: no document with a token in it "
            f"({result.empty:,} empty, {len(result.bad):,} bad); nothing was written"
        )


def _require_eod(settings: EncodeSettings) -> None:
    if settings.load().eod is None and settings.append_eod:
        raise DataError(
            f"--append-eod: {settings.vocab_file} has no <|endoftext|>; "
            "use a tokenizer that has it, or leave --append-eod out"
        )


def _require_absent(output: Path) -> None:
    there = [path for path in (half(output, ".bin"), half(output, ".idx")) if path.exists()]
    if len(there) == 2:
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
        hashlib.sha256(Path(path).read_bytes()).hexdigest()
        for path in (settings.vocab_file, settings.merge_file)
        if path is not None
    ]
    return content_key(
        {
            "inputs": files,
            "settings": asdict(settings),
            "vocabulary": vocabulary,
            "chunk": request.chunk_bytes,
        }
    )


@contextlib.contextmanager
def _only_one(parts: Path) -> Iterator[None]:
    with (parts / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{parts}: another `neox data prepare` is writing this") from None
        except OSError:
            pass  # a file system without locks
        yield


def _remove_others(parts: Path, folder: Path) -> None:
    """Parts of other inputs or settings will never be asked for again."""
    for path in parts.iterdir():
        if path.is_dir() and path != folder:
            shutil.rmtree(path, ignore_errors=True)
