"""Joining token files, and checking them entry by entry."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neox.data.errors import DataError
from neox.data.token_file import TokenFile, half
from neox.data.token_writer import TokenFileWriter

BLOCK = 1 << 24  # tokens looked at together


def merge(prefixes: Sequence[Path], output: Path, *, overwrite: bool) -> tuple[int, int]:
    """Write all documents of `prefixes`, in this order; how many documents and tokens that is.

    Raises DataError when one is missing, damaged, of another dtype than the first, or the output.
    """
    files = [TokenFile(prefix) for prefix in prefixes]
    for file in files:
        file.verify()
        if os.path.realpath(file.prefix) == os.path.realpath(output):
            raise DataError(f"{output} is one of the inputs; give another --output-prefix")
    there = [suffix for suffix in (".bin", ".idx") if half(output, suffix).exists()]
    if there and not overwrite:
        raise DataError(f"{output}{there[0]} exists; give another --output-prefix, or --overwrite")
    output.parent.mkdir(parents=True, exist_ok=True)
    with TokenFileWriter(output, files[0].dtype) as writer:
        for file in files:
            writer.append(file)
    return writer.documents, writer.tokens


def verify(prefix: Path, vocab_size: int | None) -> str:
    """What a sound token file holds, in words; its tokens are read where ids have an end.

    Raises DataError naming the first entry of the index, or token, that is wrong.
    """
    file = TokenFile(prefix)
    file.verify()
    if vocab_size is not None:
        _verify_ids(file, vocab_size)
    documents = len(file.documents) - 1
    return f"sound; {file.dtype.name}, {documents:,} documents, {len(file.tokens):,} tokens"


def _verify_ids(file: TokenFile, vocab_size: int) -> None:
    for at in range(0, len(file.tokens), BLOCK):
        block = file.tokens[at : at + BLOCK].astype(np.int64)
        wrong = np.flatnonzero((block < 0) | (block >= vocab_size))
        if len(wrong):
            raise DataError(
                f"{file.bin_path}: token {at + int(wrong[0]):,} is {block[wrong[0]]}, but ids run "
                f"from 0 to {vocab_size - 1}; these are labels, or of another tokenizer"
            )
