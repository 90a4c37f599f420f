"""Frozen dataclasses to JSON and back, by their declared types.

What comes back is checked: a manifest that a person or another version wrote is named where it
does not fit, instead of failing somewhere later.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class CodecError(ValueError):
    """JSON that is not what its type says; the message names the place."""


def encode(value: object) -> object:
    """Plain JSON values for a dataclass of dataclasses, tuples, mappings, paths and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Enum):
        return encode(value.value)
    if isinstance(value, Path):
        return str(value)
    assert value is None or isinstance(value, (str, int, float, bool)), type(value)
    return value


def decode(kind: type[T], data: object, place: str = "") -> T:
    """The value of type `kind` that `encode` made `data` from. Raises CodecError."""
    return typing.cast(T, _decode(kind, data, place))


def _decode(kind: object, data: object, place: str) -> object:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, data, place)
    if origin is tuple:
        return _decode_tuple(arguments, data, place)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _decode_mapping(arguments[1], data, place)
    if origin is typing.Literal and data in arguments:
        return data
    return _decode_plain(kind, data, place)


def _decode_mapping(kind: object, data: object, place: str) -> object:
    if not isinstance(data, dict):
        raise CodecError(f"{place}: {data!r} is not an object")
    return {key: _decode(kind, item, f"{place}.{key}") for key, item in data.items()}


def _decode_dataclass(kind: type, data: object, place: str) -> object:
    if not isinstance(data, dict):
        raise CodecError(f"{place or kind.__name__}: {data!r} is not an object")
    hints = _hints(kind)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise CodecError(f"{place or kind.__name__}: unknown {', '.join(unknown)}")
    values = {name: _decode(hints[name], data[name], f"{place}.{name}") for name in data}
    try:
        return kind(**values)
    except TypeError:  # a field without a default is missing
        fields = [f.name for f in dataclasses.fields(kind) if f.name not in data]
        raise CodecError(f"{place or kind.__name__}: without {', '.join(fields)}") from None


def _decode_union(arguments: tuple[object, ...], data: object, place: str) -> object:
    if data is None and type(None) in arguments:
        return None
    problems = []
    for argument in arguments:
        if argument is type(None):
            continue
        try:
            return _decode(argument, data, place)
        except CodecError as error:
            problems.append(error)
    raise problems[0] if problems else CodecError(f"{place}: {data!r} fits no type")


def _decode_tuple(arguments: tuple[object, ...], data: object, place: str) -> object:
    if not isinstance(data, list):
        raise CodecError(f"{place}: {data!r} is not a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        kinds: tuple[object, ...] = (arguments[0],) * len(data)
    else:
        kinds = arguments
    if len(kinds) != len(data):
        raise CodecError(f"{place}: {len(data)} values where {len(kinds)} belong")
    return tuple(
        _decode(kind, item, f"{place}[{index}]")
        for index, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _decode_plain(kind: object, data: object, place: str) -> object:
    if kind is object:
        return data
    if kind is Path and isinstance(data, str):
        return Path(data)
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    if kind is int and isinstance(data, bool):
        raise CodecError(f"{place}: {data!r} is not a whole number")
    if isinstance(kind, type) and isinstance(data, kind):
        return data
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    raise CodecError(f"{place}: {data!r} is not of type {name}")


@cache
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind)
