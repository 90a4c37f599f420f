"""Training a byte-level BPE vocabulary, the same bytes every time."""

import os
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from neox.data.errors import DataError
from neox.data.tokenizer import END_OF_DOCUMENT

SMALLEST = 257  # all bytes and the end of a document


def train_bpe(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    """A byte-level BPE in the manner of GPT-2, `<|endoftext|>` being id 0.

    Ties between merges are broken by the library by id, so that the result depends on the texts
    alone. Raises DataError when `vocab_size` has no room for all bytes.
    """
    if vocab_size < SMALLEST:
        raise DataError(f"--vocab-size {vocab_size}: all bytes need at least {SMALLEST}")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: tokenizers.Tokenizer, path: Path) -> None:
    """Write the Hugging Face JSON, aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
