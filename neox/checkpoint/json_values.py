"""JSON files of a checkpoint, typed as they are read: each wrong value names its file and key."""

import json
from dataclasses import dataclass

from neox.checkpoint.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Fields:
    """An object of a JSON file; `where` is the file and the path to the object."""

    values: dict[str, object]
    where: str

    def names(self) -> list[str]:
        return list(self.values)

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        value = self._given(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def integer(self, name: str) -> int:
        value = self._given(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a whole number")
        return value

    def number(self, name: str) -> float:
        value = self._given(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number")
        return float(value)

    def truth(self, name: str) -> bool:
        value = self._given(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def numbers(self, name: str) -> tuple[int, ...]:
        items = self.items(name)
        if not all(isinstance(item, int) for item in items):
            raise self._wrong(name, "a list of whole numbers")
        return tuple(item for item in items if isinstance(item, int))

    def texts(self, name: str) -> tuple[str, ...]:
        items = self.items(name)
        if not all(isinstance(item, str) for item in items):
            raise self._wrong(name, "a list of texts")
        return tuple(item for item in items if isinstance(item, str))

    def items(self, name: str) -> list[object]:
        value = self._given(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def fields(self, name: str) -> "Fields":
        return _object(self._given(name), f"{self.where}: {name}")

    def objects(self, name: str) -> tuple["Fields", ...]:
        where = f"{self.where}: {name}"
        return tuple(_object(item, f"{where}[{n}]") for n, item in enumerate(self.items(name)))

    def _given(self, name: str) -> object:
        if name not in self.values:
            raise CheckpointError(f"{self.where}: {name} is missing")
        return self.values[name]

    def _wrong(self, name: str, wanted: str) -> CheckpointError:
        return CheckpointError(f"{self.where}: {name} is {self.values[name]!r}, not {wanted}")


def read_fields(text: bytes, where: str) -> Fields:
    """The object that a JSON text holds; raises CheckpointError naming `where`."""
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{where} is not JSON ({error}); the file is damaged") from error
    return _object(value, where)


def _object(value: object, where: str) -> Fields:
    if not isinstance(value, dict):
        raise CheckpointError(f"{where} is not an object; the file is damaged")
    return Fields(values=value, where=where)
