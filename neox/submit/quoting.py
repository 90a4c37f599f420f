"""Text becomes shell: the one place where it is quoted, and where what cannot be is refused.

A value is quoted, never trusted. Scheduler directives are not shell and each scheduler quotes in
its own way, so there a person's text is held against a whitelist instead.
"""

import re
import shlex
from dataclasses import dataclass

from neox.submit.words import Literal, ShellVar, Word

DIRECTIVE_TEXT = re.compile(r"[A-Za-z0-9._+:/@%,=-]*")
# what a site's own composite values need besides: "gpumps smt1", gpu&hbm80g, {{id}}, ended(7)
DIRECTIVE_LINE = re.compile(r"""[A-Za-z0-9._+:/@%,= "&|(){}\[\]!*<>#~-]*""")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PLAIN_IN_DOUBLE_QUOTES = re.compile(r"[A-Za-z0-9._+:/@%,= -]*")


class QuotingError(ValueError):
    """A value that must not reach a script; the message names the field it came from."""


@dataclass(frozen=True)
class Shell:
    """Text of ours that is shell already, and is printed as it stands."""

    text: str


def check_text(field: str, text: str) -> str:
    """The text itself. Raises QuotingError for control characters and what is not valid text."""
    found = CONTROL.search(text)
    if found:
        raise QuotingError(
            f"{field}: character {ord(found[0]):#04x} at position {found.start() + 1} of "
            f"{shown(text)} cannot stand in a script; give it without control characters"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QuotingError(
            f"{field}: {shown(text)} is not valid UTF-8 at position {error.start + 1}"
        ) from None
    return text


def check_directive_text(field: str, text: str) -> str:
    """A person's text for a scheduler directive, whole or refused: it is not quoted there."""
    check_text(field, text)
    if not DIRECTIVE_TEXT.fullmatch(text):
        raise QuotingError(
            f"{field}: {shown(text)} goes into the scheduler's directives, where only letters, "
            f"digits and . _ + : / @ % , = - can stand"
        )
    return text


def check_directive_line(field: str, text: str) -> str:
    """A whole directive line: nothing in it that any scheduler or shell would expand."""
    check_text(field, text)
    if not DIRECTIVE_LINE.fullmatch(text):
        raise QuotingError(f"{field}: {shown(text)} holds a character no directive may have")
    return text


def shell_text(text: str) -> str:
    """One shell word that stands for exactly this text."""
    return shlex.quote(text)


def shell_word(word: Word) -> str:
    """One shell word: literal parts quoted, variables expanded but never split or globbed.

    `(ShellVar("run"), Literal("/rank.sh"))` prints as "$run/rank.sh".
    """
    if not any(isinstance(part, ShellVar) for part in word):
        return shell_text("".join(part.text for part in word if isinstance(part, Literal)))
    word = tuple(part for part in word if part != Literal(""))  # so that neighbours are seen
    pieces: list[str] = []
    quoted = ""  # the open double-quoted piece
    for part, following in zip(word, (*word[1:], None), strict=True):
        if isinstance(part, ShellVar):
            quoted += _expansion(part, following)
        elif PLAIN_IN_DOUBLE_QUOTES.fullmatch(part.text):
            quoted += part.text
        else:
            pieces += [f'"{quoted}"', shell_text(part.text)] if quoted else [shell_text(part.text)]
            quoted = ""
    return "".join([*pieces, f'"{quoted}"'] if quoted else pieces)


def _expansion(variable: ShellVar, following: Literal | ShellVar | None) -> str:
    """`$name`, or `${name}` where the next character would be read as part of the name."""
    glued = isinstance(following, Literal) and re.match(r"[A-Za-z0-9_]", following.text)
    return f"${{{variable.name}}}" if glued else f"${variable.name}"


def shown(text: str) -> str:
    """The text as a message shows it: on one line, shortened, with nothing unprintable."""
    ascii_text = ascii(text)
    return ascii_text if len(ascii_text) <= 60 else f"{ascii_text[:57]}..."
