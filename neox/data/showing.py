"""Tokens as text for a person: where documents end, and what is no target.

In colour documents take turns between two colours and what is not learnt is dim. Without colour it
stands in double brackets, so that nothing is said by colour alone.
"""

from collections.abc import Iterator
from itertools import cycle, pairwise

import numpy as np
from numpy.typing import NDArray

from neox.data.rows import NOT_COUNTED, Rows
from neox.data.tokenizer import Tokenizer

BORDER, DIM, DOCUMENTS = "1", "2", ("36", "33")  # bold; faint; cyan and yellow


def sample_lines(
    rows: Rows, tokenizer: Tokenizer, *, colour: bool, eod: int | None = None
) -> Iterator[str]:
    """The first of `rows`. After an `eod` token nothing is learnt, where one is given."""
    assert rows.documents is not None
    tokens, documents = rows.tokens[0], rows.documents[0]
    counted = targets(rows, eod)
    colours = cycle(DOCUMENTS)
    begins = [0, *(np.flatnonzero(np.diff(documents)) + 1).tolist()]
    for number, (begin, end) in enumerate(
        zip(begins, [*begins[1:], len(tokens)], strict=True), start=1
    ):
        learnt = int(counted[begin:end].sum())
        border = f"--- document {number}: tokens {begin:,} to {end - 1:,}, {learnt:,} learnt "
        yield _painted(border.ljust(80, "-"), BORDER, colour)
        yield _text(tokens[begin:end], counted[begin:end], tokenizer, next(colours), colour)


def targets(rows: Rows, eod: int | None) -> NDArray[np.bool_]:
    """Which tokens [s + 1] of the first row are targets; the first token never is."""
    tokens = rows.tokens[0]
    counted = np.ones(len(tokens), np.bool_) if rows.labels is None else rows.labels[0] >= 0
    counted[0] = False
    if eod is not None:
        counted[1:] &= tokens[:-1] != eod
    return counted


def document_lines(
    tokens: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    tokenizer: Tokenizer,
    *,
    colour: bool,
) -> str:
    """One document, by itself."""
    counted = np.ones(len(tokens), np.bool_) if labels is None else labels != NOT_COUNTED
    return _text(tokens, counted, tokenizer, DOCUMENTS[0], colour and labels is not None)


def _text(
    tokens: NDArray[np.int64],
    counted: NDArray[np.bool_],
    tokenizer: Tokenizer,
    code: str,
    colour: bool,
) -> str:
    edges = [0, *(np.flatnonzero(np.diff(counted)) + 1).tolist(), len(tokens)]
    pieces = list[str]()
    if not len(tokens):
        return ""
    for begin, end in pairwise(edges):
        text = _harmless(tokenizer.decode(tokens[begin:end].tolist()))
        if counted[begin]:
            pieces.append(_painted(text, code, colour))
        else:
            pieces.append(_painted(text, f"{DIM};{code}", colour) if colour else f"[[{text}]]")
    return "".join(pieces)


def _painted(text: str, code: str, colour: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if colour else text


def _harmless(text: str) -> str:
    """Control characters in data must not reach a terminal."""
    return "".join(one if one in "\n\t" or one.isprintable() else "\ufffd" for one in text)
