"""One chunk of documents becomes one small token file; what a worker process does."""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from neox.data.documents import BadRecord, Chunk, text_of
from neox.data.errors import DataError
from neox.data.token_file import token_dtype
from neox.data.token_writer import TokenFileWriter
from neox.data.tokenizers import Tokenizer, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """What turns a document into tokens."""

    tokenizer_type: str
    vocab_file: str | None
    merge_file: str | None
    append_eod: bool
    key: str  # of the text in a JSON line
    ftfy: bool = False  # mend text that was decoded wrongly

    def load(self) -> Tokenizer:
        return load_tokenizer(self.tokenizer_type, self.vocab_file, self.merge_file)


@dataclass(frozen=True, kw_only=True)
class PartReport:
    """What became of a chunk; its file is written last and says that the part is whole."""

    number: int
    documents: int
    tokens: int
    empty: int
    bad: tuple[tuple[str, str], ...]  # (file:line, reason)


def part_prefix(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}"


def finished_part(folder: Path, number: int) -> PartReport | None:
    """The report of a part that an earlier run finished."""
    try:
        saved = json.loads(part_prefix(folder, number).with_suffix(".json").read_text())
    except OSError:
        return None
    bad = tuple((place, reason) for place, reason in saved.pop("bad"))
    return PartReport(bad=bad, **saved)


def write_part(
    folder: Path, chunk: Chunk, tokenizer: Tokenizer, settings: EncodeSettings
) -> PartReport:
    """Encode a chunk. A document without any token is left out and counted."""
    mend = mender() if settings.ftfy else str
    texts, bad = list[str](), list[tuple[str, str]]()
    for record in chunk.records:
        try:
            texts.append(mend(text_of(record, settings.key)))
        except BadRecord as error:
            bad.append((record.place, str(error)))
    prefix = part_prefix(folder, chunk.number)
    end = [tokenizer.eod] if settings.append_eod else []
    empty = 0
    with TokenFileWriter(prefix, token_dtype(tokenizer.vocab_size)) as writer:
        for ids in tokenizer.encode_batch(texts):
            if ids:
                writer.add(np.array(ids + end, np.int64))
            else:
                empty += 1
    report = PartReport(
        number=chunk.number,
        documents=writer.documents,
        tokens=writer.tokens,
        empty=empty,
        bad=tuple(bad),
    )
    aside = prefix.with_suffix(".json.tmp")
    aside.write_text(json.dumps(asdict(report)))
    aside.replace(prefix.with_suffix(".json"))
    return report


def mender() -> Callable[[str], str]:
    """ftfy's `fix_text` with its defaults, as GPT-NeoX calls it."""
    try:
        import ftfy  # noqa: PLC0415  # optional
    except ImportError:
        raise DataError("--ftfy needs ftfy; pip install 'neox[data]'") from None
    return ftfy.fix_text


def work(connection: Connection, folder: Path, settings: EncodeSettings) -> None:
    """Take chunks and give reports until the other end closes, as it does if it is killed."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one worker, one core
    # Ctrl-C reaches every process of the terminal: the parent decides, its closing ends us
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        tokenizer = settings.load()
        while True:
            chunk = connection.recv()
            try:
                connection.send(write_part(folder, chunk, tokenizer, settings))
            except (DataError, OSError) as error:
                connection.send(DataError(str(error)))
