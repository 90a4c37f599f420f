"""Texts in, records out: prompts become GPT-NeoX's JSON lines."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neox.checkpoint.directory import write_file
from neox.data.tokenizer import Tokenizer
from neox.inference.generate import Continuation, GenerationError, generate
from neox.inference.sampling import Sampling
from neox.models.transformer import Transformer

BATCH = 16  # prompts that are continued together


@dataclass(frozen=True, kw_only=True)
class TextRecord:
    """One line of the output file."""

    context: str
    text: str | None  # None when the first token already ended it
    length: int  # new tokens
    finished: bool  # the model ended the text itself
    message: str | None  # why there is no text
    duration_seconds: float  # of the batch that it was part of


def continue_texts(
    model: Transformer,
    tokenizer: Tokenizer,
    contexts: Sequence[str],
    *,
    sampling: Sampling,
    maximum_tokens: int,
    seed: int,
) -> list[TextRecord]:
    """Continue each context; an empty one begins a document.

    Raises GenerationError for a context that does not fit the model.
    """
    records: list[TextRecord] = []
    for at in range(0, len(contexts), BATCH):
        some = contexts[at : at + BATCH]
        began = time.monotonic()
        continuations = generate(
            model,
            [_prompt(tokenizer, context) for context in some],
            sampling=sampling,
            maximum_tokens=maximum_tokens,
            end=tokenizer.eod,
            vocab_size=tokenizer.vocab_size,
            seed=seed + at,
        )
        seconds = time.monotonic() - began
        records += [
            _record(tokenizer, context, continuation, seconds)
            for context, continuation in zip(some, continuations, strict=True)
        ]
    return records


def _prompt(tokenizer: Tokenizer, context: str) -> list[int]:
    if context:
        return tokenizer.encode(context)
    if tokenizer.eod is None:
        raise GenerationError("the tokenizer has no end-of-document token to begin with; prompt it")
    return [tokenizer.eod]


def _record(
    tokenizer: Tokenizer, context: str, continuation: Continuation, seconds: float
) -> TextRecord:
    empty = not continuation.tokens
    return TextRecord(
        context=context,
        text=None if empty else tokenizer.decode(continuation.tokens),
        length=len(continuation.tokens),
        finished=continuation.finished,
        message="the first token ended the text" if empty else None,
        duration_seconds=seconds,
    )


def write_records(path: Path, records: Sequence[TextRecord]) -> None:
    """One JSON object a line, all or nothing. Raises OSError."""
    lines = (json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    write_file(path, "".join(lines).encode())
