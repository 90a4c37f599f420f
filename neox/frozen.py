"""Frozen dataclasses that are made without compiling a line.

Python makes the methods of a dataclass from source text when the class is imported, about 0.15 ms
each. The config, the site profile and the plan are some hundred classes that every `neox-submit`
imports before it prints its first line, so these inherit all their methods.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

Made = TypeVar("Made")
_MISSING = dataclasses.MISSING


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    eq_default=True,
    field_specifiers=(dataclasses.field,),
)
def frozen(kind: type[Made]) -> type[Made]:
    """`@dataclass(frozen=True, kw_only=True)` for a subclass of Frozen."""
    return dataclasses.dataclass(init=False, eq=False, repr=False, kw_only=True)(kind)


class Frozen:
    """What `frozen` classes inherit: they are made by keywords, and compare and print by fields."""

    def __init__(self, **given: Any) -> None:
        own = vars(self)
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name in given:
                own[field.name] = given.pop(field.name)
            elif field.default is not _MISSING:
                own[field.name] = field.default
            elif field.default_factory is not _MISSING:
                own[field.name] = field.default_factory()
            else:
                raise TypeError(f"{type(self).__name__}: {field.name} is not given")
        if given:
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"
