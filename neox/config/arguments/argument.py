"""What is known of an argument beside its type: a line of doc, a unit, and how far it works."""

import dataclasses
from typing import Any, Literal

from neox.frozen import Frozen, frozen

Status = Literal[
    "user",  # set it; it is read
    "derived",  # follows from another argument, and may be given if it agrees
    "runtime",  # found by the program
    "chosen",  # accepted, but decided elsewhere: `note` says by whom
    "unread",  # GPT-NeoX accepted it and read it nowhere, and so do we
]


@frozen
class Argument(Frozen):
    """One argument's description. Its type, choices and default stand in the field itself."""

    doc: str
    unit: str | None = None
    status: Status = "user"
    note: str | None = None  # for every status but `user`: where the value comes from instead
    not_yet: str | None = None  # what is missing for every value but those in `built`
    built: tuple[object, ...] = ()
    also: tuple[tuple[str, str], ...] = ()  # further spellings (lower case) of choices
    allows: str = ""  # control characters that its text may hold


def argument(
    default: Any,  # the field's own annotation types it
    doc: str,
    *,
    unit: str | None = None,
    status: Status = "user",
    note: str | None = None,
    not_yet: str | None = None,
    built: tuple[object, ...] | None = None,
    also: tuple[tuple[str, str], ...] = (),
    allows: str = "",
) -> Any:
    """A dataclass field with its Argument; `built` is the default alone unless it is given."""
    about = Argument(
        doc=doc,
        unit=unit,
        status=status,
        note=note,
        not_yet=not_yet,
        built=(default,) if built is None else built,
        also=also,
        allows=allows,
    )
    return dataclasses.field(default=default, metadata={"argument": about})


def argument_of(field: "dataclasses.Field[Any]") -> Argument:
    about = field.metadata["argument"]
    assert isinstance(about, Argument), field.name
    return about


@frozen
class Switched(Frozen):
    """A dict that says itself whether it is on; switched off, it asks for nothing."""

    enabled: bool = argument(False, "Switch the whole dict on.")
