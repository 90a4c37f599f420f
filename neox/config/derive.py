"""Apply the rules: fill in what follows from the given values, and refuse what cannot be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import TypeVar

from neox.config.given import Given
from neox.config.places import DEFAULT, ConfigErrors, Origin, Problem, by_rule, given_at, problem_at
from neox.config.run_config import RunConfig
from neox.config.table import groups, table


class Findings:
    """Problems found so far, each told where its argument was given."""

    def __init__(self, given: Given) -> None:
        self._places = dict(given.places)
        self.problems: list[Problem] = []

    def add(self, name: str, message: str) -> None:
        """Put a problem with argument `name` on record; the message follows the name."""
        place = self._places.get(name)
        self.problems.append(problem_at(place, f"{name}: {message}"))

    def is_given(self, name: str) -> bool:
        return name in self._places

    def stands_for(self, other: str, name: str) -> None:
        """`name` was given under its `other` name, and is said to stand there."""
        self._places[name] = self._places[other]


Part = TypeVar("Part")
Rule = Callable[[RunConfig, Findings], RunConfig]


def resolve(given: Given, world_size: int | None) -> RunConfig:
    """The complete config for a job of `world_size` ranks; None where no site is chosen yet.

    What depends on the number of ranks stays None without it. Raises ConfigErrors with every
    rule that the given values break.
    """
    config, findings = _apply(given, world_size)
    if findings.problems:
        raise ConfigErrors(findings.problems)
    return config


def broken_rules(given: Given) -> tuple[Problem, ...]:
    """The rules that given arguments break, leaving out what is only missing."""
    _, findings = _apply(given, None)
    return tuple(problem for problem in findings.problems if problem.file)


def _apply(given: Given, world_size: int | None) -> tuple[RunConfig, Findings]:
    from neox.config.derive_batch import batch  # noqa: PLC0415
    from neox.config.derive_names import names, other_names  # noqa: PLC0415
    from neox.config.derive_parts import data, model, precision, schedule, tokens  # noqa: PLC0415
    from neox.config.derive_ranks import ranks  # noqa: PLC0415
    from neox.config.rules import check  # noqa: PLC0415

    findings = Findings(given)
    config = names(_draft(given), findings)
    config = ranks(config, findings, world_size)
    rules: tuple[Rule, ...] = (batch, precision, schedule, model)
    for rule in rules:
        config = rule(config, findings)
    config = other_names(data(tokens(config)))
    check(config, findings)
    return config, findings


def origin_of(config: RunConfig, name: str) -> Origin:
    """Where the value of `name` (dotted in nested dicts) comes from."""
    return config.origins.get(name, DEFAULT)


def derived(config: RunConfig, rule: str, names: Mapping[str, object]) -> RunConfig:
    """The config with values that `rule` gives to `names`, dotted in nested dicts."""
    for name, value in names.items():
        config = _with_value(config, name, value)
    origins = {**config.origins, **{name: by_rule(rule) for name in names}}
    return replace(config, origins=origins)


def follows(
    config: RunConfig, findings: Findings, rule: str, name: str, value: object
) -> RunConfig:
    """`derived` for one name that may have been given, too, if it agrees."""
    if findings.is_given(name) and config_value(config, name) != value:
        findings.add(name, f"must be {value}, by the rule {rule}; leave it out")
    return derived(config, rule, {name: value})


def config_value(config: RunConfig, name: str) -> object:
    """The value of `name`, dotted in nested dicts."""
    first, *keys = name.split(".")
    value: object = getattr(getattr(config, table()[first].group), first)
    for key in keys:
        value = getattr(value, key)
    return value


def moved(config: RunConfig, name: str, value: object, origin: Origin) -> RunConfig:
    """The config with `name` set as if it had been given at `origin`."""
    changed = _with_value(config, name, value)
    return replace(changed, origins={**config.origins, name: origin})


def _draft(given: Given) -> RunConfig:
    """The given values over the defaults."""
    parts = {
        group: record(**{n: v for n, v in given.values.items() if table()[n].group == group})
        for group, record in groups()
    }
    origins = {name: given_at(place) for name, place in given.places.items()}
    empty = RunConfig(origins=origins, warnings=given.warnings)
    return _replaced(empty, parts)


def _with_value(config: RunConfig, name: str, value: object) -> RunConfig:
    first, *keys = name.split(".")
    group = table()[first].group
    return _put(config, (group, first, *keys), value)


def _put(part: Part, path: Sequence[str], value: object) -> Part:
    key, *rest = path
    inner = _put(getattr(part, key), rest, value) if rest else value
    return _replaced(part, {key: inner})


def _replaced(part: Part, changes: Mapping[str, object]) -> Part:
    """`replace` for values typed already by the argument table."""
    assert is_dataclass(part)
    assert not isinstance(part, type)
    return replace(part, **changes)
