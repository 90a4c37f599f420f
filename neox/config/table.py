"""The argument table: every YAML name with its group, its field and its description."""

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neox.config.arguments.argument import Argument, argument_of
from neox.config.run_config import RunConfig

# Older GPT-NeoX called these otherwise, and meant the same.
OLD_NAMES: Mapping[str, str] = {
    "gas": "gradient_accumulation_steps",
    "save_interval": "checkpoint_factor",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One argument of the flat name space."""

    name: str
    group: str  # attribute of RunConfig
    wanted: object  # the field's annotation
    default: object
    about: Argument


@functools.cache
def table() -> Mapping[str, Entry]:
    """All arguments by name, in the order of their groups."""
    entries: dict[str, Entry] = {}
    for group, record in groups():
        for field in dataclasses.fields(record):
            assert field.name not in entries, f"{field.name} stands in two groups"
            entries[field.name] = entry_of(field, group)
    return entries


def groups() -> Iterator[tuple[str, type]]:
    """The groups of RunConfig: attribute name and dataclass."""
    for field in dataclasses.fields(RunConfig):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield field.name, field.type


def entry_of(field: "dataclasses.Field[object]", group: str) -> Entry:
    return Entry(
        name=field.name,
        group=group,
        wanted=field.type,
        default=field.default,
        about=argument_of(field),
    )


def value_of(config: RunConfig, entry: Entry) -> object:
    """The argument's value in `config`."""
    value: object = getattr(getattr(config, entry.group), entry.name)
    return value


def known(path: Sequence[str]) -> bool:
    """Is there an argument of that name, and that key in its dict?"""
    name, *keys = path
    if name not in table():
        return False
    wanted: object = table()[name].wanted
    for key in keys:
        record = record_in(wanted)
        if record is None:
            return Mapping in {typing.get_origin(w) for w in (wanted, *typing.get_args(wanted))}
        fields = {field.name: field.type for field in dataclasses.fields(record)}
        if key not in fields:
            return False
        wanted = fields[key]
    return True


def about(dotted: str) -> Argument | None:
    """The description of `name` or `dict.key`; None for keys of dicts that nobody types."""
    name, *keys = dotted.split(".")
    entry = table()[name]
    for key in keys:
        record = record_in(entry.wanted)
        if record is None:
            return None
        entry = next(entry_of(f, entry.group) for f in dataclasses.fields(record) if f.name == key)
    return entry.about


def record_in(wanted: object) -> type | None:
    """The nested dict's dataclass in an annotation such as `Scheduler | None`."""
    for option in (wanted, *typing.get_args(wanted)):
        if isinstance(option, type) and dataclasses.is_dataclass(option):
            return option
    return None
