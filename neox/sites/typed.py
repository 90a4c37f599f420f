"""Turns a located TOML table into a frozen dataclass, driven by the dataclass's own annotations.

A field `seconds` or `NAME_seconds` is written `time` or `NAME_time` in TOML, as "2:00:00": units
stand in the names of numbers, and a walltime in a file is a text that people read.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar, Union

from neox.sites.located import Value
from neox.sites.problems import Report, nearest
from neox.sites.profile import NOT_IN_FILE
from neox.sites.times import TimeError, parse_time

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
    Field = dataclasses.Field[object]
else:
    T = TypeVar("T")
    Field = dataclasses.Field

Reshape = Callable[[Value, Report], Value]
_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


class _Unusable(Exception):
    """The value was reported; what holds it cannot be built."""


@dataclasses.dataclass(frozen=True)
class Builder:
    """Builds dataclasses and reports what does not fit; `reshape` prepares tables of some types."""

    report: Report
    reshape: Mapping[type, Reshape]
    hints: dict[type, Mapping[str, object]] = dataclasses.field(default_factory=dict)  # looked up

    def build(self, cls: type[T], tree: Value, extra: Mapping[str, object]) -> T:
        """`extra` holds the fields that no file has. Raises all problems of the file at once."""
        try:
            built = self._dataclass(cls, tree, extra)
        except _Unusable:
            self.report.check()
            raise AssertionError(tree.where) from None  # whoever raises has reported
        self.report.check()
        return built

    def _dataclass(self, cls: type[T], table: Value, extra: Mapping[str, object]) -> T:
        if not table.is_table:
            raise self._wrong(table, "a table")
        if cls in self.reshape:
            table = self.reshape[cls](table, self.report)
        fields = file_fields(cls)
        self._check_keys(table, fields)
        if cls not in self.hints:
            self.hints[cls] = typing.get_type_hints(cls)
        hints = self.hints[cls]
        known = [(field, table.table[key]) for key, field in fields.items() if key in table.table]
        values = self._every(known, lambda pair: self._field(pair[0], hints, pair[1]))
        if missing(table, fields):
            raise _Unusable
        make: Callable[..., T] = cls
        named = zip((field.name for field, _ in known), values, strict=True)
        return make(**dict(named), **extra)

    def _check_keys(self, table: Value, fields: Mapping[str, Field]) -> None:
        place = f" in [{table.path}]" if table.path else ""
        for key, value in table.table.items():
            if key not in fields:
                self.report.add(value.where, f"unknown key {key!r}{place}{nearest(key, fields)}")
        for key in missing(table, fields):
            self.report.add(table.where, f"`{key}` is missing{place}")

    def _field(self, field: Field, hints: Mapping[str, object], value: Value) -> object:
        if not is_time(field):
            return self._convert(hints[field.name], value)
        if not isinstance(value.data, str):
            raise self._wrong(value, 'a time in quotes, such as "2:00:00"')
        try:
            return parse_time(value.data, "neox")
        except TimeError as error:
            self.report.add(value.where, f"{value.path}: {error}")
            raise _Unusable from error

    def _convert(self, hint: object, value: Value) -> object:
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin in (Union, types.UnionType):  # X | None; TOML has no None
            return self._convert(next(part for part in inner if part is not types.NoneType), value)
        if origin is Literal:
            return self._literal(inner, value)
        if origin is tuple:
            if not isinstance(value.data, tuple):
                raise self._wrong(value, "a list in [ ]")
            return tuple(self._every(value.elements, lambda e: self._convert(inner[0], e)))
        if origin is Mapping or origin is typing.get_origin(Mapping[str, str]):
            if not value.is_table:
                raise self._wrong(value, "a table")
            items = value.table.items()
            converted = self._every(items, lambda item: self._convert(inner[1], item[1]))
            return dict(zip(value.table, converted, strict=True))
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self._dataclass(hint, value, {})
        return plain(value) if hint is object else self._scalar(hint, value)

    def _literal(self, allowed: tuple[object, ...], value: Value) -> object:
        if isinstance(value.data, str) and value.data in allowed:
            return value.data
        choices = nearest(str(value.data), [str(word) for word in allowed])
        self.report.add(value.where, f"{value.path}: {value.data!r} is not a choice{choices}")
        raise _Unusable

    def _scalar(self, hint: object, value: Value) -> object:
        assert isinstance(hint, type) and hint in _KINDS, hint
        data = value.data
        if hint is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if not isinstance(data, hint) or (isinstance(data, bool) and hint is not bool):
            raise self._wrong(value, _KINDS[hint])
        return data

    def _every(self, items: Iterable[object], convert: Callable[..., object]) -> list[object]:
        """Convert each, the rest too after one fails: people want all problems at once."""
        converted, usable = [], True
        for item in items:
            try:
                converted.append(convert(item))
            except _Unusable:
                usable = False
        if not usable:
            raise _Unusable
        return converted

    def _wrong(self, value: Value, wanted: str) -> _Unusable:
        self.report.add(value.where, f"{value.path} is {wanted}, not {shown(value)}")
        return _Unusable()


def file_fields(cls: "type[DataclassInstance]") -> dict[str, Field]:
    """The fields that a file may hold, by the key it writes."""
    fields = (field for field in dataclasses.fields(cls) if field.metadata != NOT_IN_FILE)
    return {file_key(field): field for field in fields}


def file_key(field: Field) -> str:
    return field.name.removesuffix("seconds") + "time" if is_time(field) else field.name


def is_time(field: Field) -> bool:
    return field.name == "seconds" or field.name.endswith("_seconds")


def missing(table: Value, fields: Mapping[str, Field]) -> list[str]:
    """Required keys that the table lacks."""
    return [k for k, field in fields.items() if is_required(field) and k not in table.table]


def is_required(field: Field) -> bool:
    unset = dataclasses.MISSING
    return field.default is unset and field.default_factory is unset


def plain(value: Value) -> object:
    """The value as Python has it, without places."""
    if isinstance(value.data, Mapping):
        return {key: plain(inner) for key, inner in value.data.items()}
    if isinstance(value.data, tuple):
        return tuple(plain(element) for element in value.data)
    return value.data


def shown(value: Value) -> str:
    """The value as TOML would write it, short enough for a message."""
    if value.is_table:
        return "a table"
    if isinstance(value.data, tuple):
        return "a list"
    if isinstance(value.data, bool):
        return str(value.data).lower()
    return f'"{value.data}"' if isinstance(value.data, str) else str(value.data)
