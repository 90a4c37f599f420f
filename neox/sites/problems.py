"""What is wrong with a file of a shelf, all of it at once, each with its file and line."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    where: str  # "sites/frontier.toml:42", or the file alone
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class ShelfErrors(ValueError):
    """Everything that is wrong, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ProfileErrors(ShelfErrors):
    """A site profile that cannot be used."""


class JobKindErrors(ShelfErrors):
    """A job kind that cannot be used."""


@dataclass
class Report:
    """Collects problems while a file is read, so that a person sees all of them in one go."""

    error: type[ShelfErrors]
    problems: list[Problem] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        self.problems.append(Problem(where, text))

    def check(self) -> None:
        """Raise what was found so far, each line once, in the order of the files' lines."""
        if self.problems:
            raise self.error(sorted(set(self.problems), key=_by_line))


def _by_line(problem: Problem) -> tuple[str, int, str]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line), problem.text) if line.isdecimal() else (problem.where, 0, problem.text)


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean X?" where a known word is near, else "; there are: ..."."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(names)}"
