"""Where a value was written, and what to say when it is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_SHOWN = 60  # characters of a KEY=VALUE that a message repeats


@dataclass(frozen=True, kw_only=True)
class Place:
    """A file and line, a KEY=VALUE from the command line, or a job kind."""

    kind: Literal["file", "command line", "job"]
    source: str  # the file as it was typed, or the KEY=VALUE itself
    line: int | None = None

    def __str__(self) -> str:
        source = _printable(self.source)
        return source if self.line is None else f"{source}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Why an argument has its value: where it was given, the rule that made it, or its default."""

    kind: Literal["given", "rule", "default"]
    text: str
    place: Place | None = None

    def __str__(self) -> str:
        return self.text


def given_at(place: Place) -> Origin:
    return Origin(kind="given", text=str(place), place=place)


def by_rule(text: str) -> Origin:
    return Origin(kind="rule", text=f"rule: {text}")


DEFAULT = Origin(kind="default", text="default")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: where, what, and what to type instead."""

    file: str  # empty where no place can be named
    line: int | None
    message: str

    def __str__(self) -> str:
        if not self.file:
            return self.message
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


def problem_at(place: Place | None, message: str) -> Problem:
    if place is None:
        return Problem(file="", line=None, message=message)
    shown = _printable(place.source)
    return Problem(file=shown, line=place.line, message=_escaped(message))


class ConfigErrors(ValueError):
    """Everything that is wrong with a config, at once; str() is one problem per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        assert self.problems
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _printable(text: str) -> str:
    shown = text if len(text) <= _SHOWN or "=" not in text else f"{text[:_SHOWN]}..."
    return _escaped(shown)


def _escaped(text: str) -> str:
    """One line, whatever a hostile value holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
