"""What `neox config check` and `neox config show` print."""

import dataclasses
import textwrap
from collections.abc import Iterator

from neox.config.derive import origin_of
from neox.config.given import Given
from neox.config.places import Origin
from neox.config.run_config import RunConfig
from neox.config.spec import not_yet
from neox.config.table import groups, table, value_of
from neox.config.write import as_yaml

_WIDTH = 80
_NAME = 34  # columns of the names
_VALUE = 22  # columns of the values


def check(given: Given, config: RunConfig) -> list[str]:
    """The warnings, what is not built yet, and a last line that sums up."""
    lines = [f"warning: {warning}" for warning in config.warnings]
    lines += [f"not yet: {line}" for line in not_yet(config)]
    count = sum(1 for name in given.places if "." not in name)
    files = ", ".join(given.texts) or "the command line"
    return [*lines, f"{files}: {count} arguments, no errors"]


def show(config: RunConfig, *, everything: bool = True) -> list[str]:
    """Every value with the file and line, the KEY=VALUE or the rule that it comes from."""
    lines: list[str] = []
    for group, _ in groups():
        body = [
            line
            for entry in table().values()
            if entry.group == group
            for line in _rows(config, entry.name, value_of(config, entry), everything=everything)
        ]
        if body:
            lines += ["", group, *body]
    return lines[1:]


def _rows(config: RunConfig, name: str, value: object, *, everything: bool) -> Iterator[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            inner: object = getattr(value, field.name)
            yield from _rows(config, f"{name}.{field.name}", inner, everything=everything)
        return
    origin = origin_of(config, name)
    if everything or origin.kind != "default":
        yield from _row(name, as_yaml(value), origin)


def _row(name: str, value: str, origin: Origin) -> Iterator[str]:
    """Name, value and origin in columns; what does not fit goes on in the next line."""
    start = f"  {name:<{_NAME - 2}}"
    if len(start) > _NAME or start[-1] != " ":
        yield start.rstrip()
        start = " " * _NAME
    if len(value) >= _VALUE:
        yield from _wrapped(start, value)
        start, value = " " * _NAME, ""
    start = f"{start}{value:<{_VALUE}}"
    if max(len(word) for word in origin.text.split()) > _WIDTH - len(start):
        if start.strip():
            yield start.rstrip()
        start = " " * _NAME
    yield from _wrapped(start, origin.text)


def _wrapped(start: str, text: str) -> list[str]:
    room = max(10, _WIDTH - len(start))
    first, *rest = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]
    return [f"{start}{first}".rstrip(), *(f"{'':<{len(start)}}{line}" for line in rest)]
