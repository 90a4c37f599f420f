"""TOML as a tree in which every value knows its dotted path, its file and its line."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neox.sites.problems import Report
from neox.sites.toml_lines import Path, key_lines

Table = Mapping[str, "Value"]
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class Value:
    """A value, and where somebody wrote it."""

    data: "object | tuple[Value, ...] | Table"  # scalars are as tomllib gives them
    path: str  # "queues.batch.bins[0].time": a table in an array goes by its `name` if it has one
    where: str  # "sites/frontier.toml:42"

    @property
    def table(self) -> Table:
        assert isinstance(self.data, Mapping), self.path
        return self.data

    @property
    def is_table(self) -> bool:
        return isinstance(self.data, Mapping)

    def put(self, changes: Mapping[str, "Value"], drop: tuple[str, ...] = ()) -> "Value":
        """This table with some keys put in or taken out."""
        kept = {key: value for key, value in self.table.items() if key not in drop}
        return Value({**kept, **changes}, self.path, self.where)

    def leaves(self) -> Iterator["Value"]:
        """Every value that is not a table; an array of plain values is one leaf."""
        for value in self.walk():
            if not value.is_table and not value.holds_tables:
                yield value

    def walk(self) -> Iterator["Value"]:
        """This value, and all tables and leaves below it."""
        yield self
        if isinstance(self.data, Mapping):
            for value in self.data.values():
                yield from value.walk()
        elif self.holds_tables:
            for value in self.elements:
                yield from value.walk()

    @property
    def elements(self) -> tuple["Value", ...]:
        return self.data if isinstance(self.data, tuple) else ()

    @property
    def holds_tables(self) -> bool:
        return any(element.is_table for element in self.elements)


def read_toml(text: str, file: str, report: Report) -> Value:
    """The tree of one file; a syntax error is reported with its line, and ends the reading."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = place[1] if place and place[1] else text.count("\n") + 1
        report.add(f"{file}:{line}", f"not TOML: {_TOML_PLACE.sub('', message)}")
        report.check()
        raise AssertionError from error  # check() has raised
    return _Locator(file, key_lines(text)).value(document, (), "")


@dataclass(frozen=True)
class _Locator:
    file: str
    lines: Mapping[Path, int]

    def value(self, data: object, at: Path, path: str) -> Value:
        where = f"{self.file}:{self.lines[at]}" if at else self.file
        if isinstance(data, dict):
            table = {
                key: self.value(inner, (*at, key), f"{path}.{key}" if path else key)
                for key, inner in data.items()
            }
            return Value(table, path, where)
        if isinstance(data, list):
            elements = (
                self.value(inner, (*at, index), path + _element(inner, index))
                for index, inner in enumerate(data)
            )
            return Value(tuple(elements), path, where)
        return Value(data, path, where)


def _element(data: object, index: int) -> str:
    if isinstance(data, dict) and isinstance(data.get("name"), str):
        return f".{data['name']}"
    return f"[{index}]"


def merge(parent: Value, child: Value) -> Value:
    """Tables merge key by key; scalars and arrays of the child replace the parent's.

    So does a fact: its date belongs to its source.
    """
    is_fact = child.path.startswith("facts.")
    if is_fact or not (parent.is_table and child.is_table):
        return child
    merged = dict(parent.table)
    for key, value in child.table.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return Value(merged, child.path, child.where)


def without(tree: Value, path: str) -> Value | None:
    """The tree less the value of that dotted path; None where there is no such value."""
    if isinstance(tree.data, Mapping):
        for key, value in tree.data.items():
            if value.path == path:
                return tree.put({}, drop=(key,))
            if (pruned := without(value, path)) is not None:
                return tree.put({key: pruned})
        return None
    kept = tuple(value for value in tree.elements if value.path != path)
    if len(kept) < len(tree.elements):
        return Value(kept, tree.path, tree.where)
    for index, value in enumerate(tree.elements):
        if (pruned := without(value, path)) is not None:
            changed = (*tree.elements[:index], pruned, *tree.elements[index + 1 :])
            return Value(changed, tree.path, tree.where)
    return None
