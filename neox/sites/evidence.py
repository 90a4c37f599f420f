"""Whether each number of a profile has evidence, how old it is, and what nobody knows.

A fact is about the value of its dotted path and about all values below it. It speaks of what its
own file says, or the files that one extends: where a child states a value anew, its parent's fact
about it no longer holds.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neox.sites.profile import OPTIONAL_TABLES, Fact, Profile, nearest_above

STALE_MONTHS = 18


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Every number of a profile (by dotted path) in exactly one of the first four."""

    own: tuple[str, ...]  # a fact of its own
    inherited: tuple[str, ...]  # the fact of a table above it
    unknown: tuple[str, ...]  # the profile itself asks
    without: tuple[str, ...]
    stale: tuple[str, ...]  # facts read too long ago
    questions: tuple[str, ...]

    @property
    def numbers(self) -> int:
        return sum(map(len, (self.own, self.inherited, self.unknown, self.without)))

    @property
    def own_percent(self) -> int:
        return round(100 * len(self.own) / self.numbers) if self.numbers else 100


def evidence(profile: Profile, today: datetime.date) -> Evidence:
    found = {path: fact_about(profile, path) for path in profile.numbers}
    known = {path: fact for path, fact in found.items() if fact is not None}
    unknown = {path for path, fact in known.items() if profile.facts[fact].kind == "unknown"}
    own = {path for path, fact in known.items() if path == fact and path not in unknown}
    return Evidence(
        own=_in_order(profile, own),
        inherited=_in_order(profile, known.keys() - own - unknown),
        unknown=_in_order(profile, unknown),
        without=_in_order(profile, found.keys() - known.keys()),
        stale=tuple(path for path, fact in profile.facts.items() if is_stale(fact, today)),
        questions=questions(profile),
    )


def questions(profile: Profile) -> tuple[str, ...]:
    """What nobody knows, each once: one question may stand beside several values."""
    asked = (fact.question for fact in profile.facts.values() if fact.question)
    return tuple(dict.fromkeys(asked))


def fact_about(profile: Profile, path: str) -> str | None:
    """The path of the nearest fact that speaks of this value."""
    age = _depth(profile, path)
    speaking = [fact for fact in profile.facts if _depth(profile, f"facts.{fact}") <= age]
    return nearest_above(path, speaking)


def is_stale(fact: Fact, today: datetime.date) -> bool:
    """Read more than 18 months ago."""
    if fact.read is None:
        return False
    read = datetime.date.fromisoformat(fact.read)
    months = (today.year - read.year) * 12 + today.month - read.month
    return months - (today.day < read.day) >= STALE_MONTHS


def standing_facts(profile: Profile) -> Mapping[str, Fact]:
    """The facts less those of parents about values that a child has stated anew."""
    return {path: fact for path, fact in profile.facts.items() if _stands(profile, path)}


def _stands(profile: Profile, path: str) -> bool:
    depth = _depth(profile, f"facts.{path}")
    if depth == 0:
        return True
    if path in OPTIONAL_TABLES and not _leaves_below(profile, path):
        return True  # a question about a table that no child has written either
    about = _leaves_below(profile, path) or _leaves_below(profile, path.rpartition(".")[0])
    return any(_depth(profile, leaf) >= depth for leaf in about)


def _leaves_below(profile: Profile, path: str) -> list[str]:
    below = [p for p in profile.origins if nearest_above(p, (path,))]
    return [p for p in below if not any(o.startswith((p + ".", p + "[")) for o in below)]


def _depth(profile: Profile, path: str) -> int:
    """0 for the profile's own file, 1 for its parent ..."""
    return profile.files.index(profile.origin(path).rpartition(":")[0])


def _in_order(profile: Profile, paths: Iterable[str]) -> tuple[str, ...]:
    chosen = set(paths)
    return tuple(path for path in profile.numbers if path in chosen)


def check_site(profile: Profile, today: datetime.date) -> tuple[str, ...]:
    """The report of `neox-submit sites check`, one fact a line."""
    found = evidence(profile, today)
    lines = [
        f"{profile.name}: {found.numbers} numbers: {len(found.own)} with evidence of their own"
        f" ({found.own_percent} %), {len(found.inherited)} with that of their table,"
        f" {len(found.unknown)} unknown, {len(found.without)} without"
    ]
    lines += [f"  no evidence  {path}  ({profile.origin(path)})" for path in found.without]
    for path in found.stale:
        fact, where = profile.facts[path], profile.origin(f"facts.{path}")
        lines.append(f"  stale        {path}  read {fact.read}  ({where})")
    lines += [f"  asks         {question}" for question in found.questions]
    return tuple(lines)
