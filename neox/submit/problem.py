"""What is wrong with a request, and what to type instead. No suggestion is made untried."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from neox.submit.request import Request


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Another request that may be accepted."""

    say: str  # "--time 2:00:00 --chain 3"
    request: Request


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that stands in the way of a job."""

    about: str  # what it concerns: two problems about the same thing are the same problem
    text: str
    remedies: tuple[Iterable[Remedy], ...] = ()  # ways out; of each the first that works is told


class PlanError(ValueError):
    """Everything that is wrong with a request, at once; str() is one problem per line."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        assert self.problems
        super().__init__("\n".join(self.problems))


def told(problems: Sequence[Problem], still_wrong: Callable[[Request], set[str]]) -> PlanError:
    """The problems with those ways out that work.

    `still_wrong` says what would be wrong with another request. A way out works when its own
    problem is gone and no new one appears.
    """
    standing = {problem.about for problem in problems}
    texts: list[str] = []
    for problem in problems:
        tolerated = standing - {problem.about}
        ways = [_first(way, still_wrong, tolerated) for way in problem.remedies]
        working = list(dict.fromkeys(way for way in ways if way))
        use = f"; use {', or '.join(working)}" if working else ""
        texts.append(f"{problem.text}{use}")
    return PlanError(texts)


def _first(
    remedies: Iterable[Remedy], still_wrong: Callable[[Request], set[str]], tolerated: set[str]
) -> str | None:
    working = (remedy.say for remedy in remedies if still_wrong(remedy.request) <= tolerated)
    return next(working, None)
