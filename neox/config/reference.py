"""Write docs/arguments.md from the argument table: `python -m neox.config.reference`."""

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from neox.config.arguments.argument import Argument, argument_of
from neox.config.table import OLD_NAMES, Entry, groups, record_in, table
from neox.config.write import as_yaml

PAGE = Path(__file__).parents[2] / "docs" / "arguments.md"

_TOP = """\
# Arguments

Generated from `neox/config/arguments/` by `python -m neox.config.reference`; do not edit.

A config is flat YAML (or JSON): `name: value`. `-` and `_` in names are the same. Several files are
merged left to right, `KEY=VALUE` on the command line beats them all, dots in KEY reach into dicts
(`optimizer.params.lr=1e-4`), and `KEY=null` takes back what a file gave. An unknown name, a wrong
type, a name given twice with different values, or a contradiction is an error with file and line.
Only what a shipped config says of data and tokenizer is replaced by a file of yours behind it.

`neox config check FILE...` says everything that is wrong at once, without torch, on a login node;
`neox config show FILE...` prints every value and where it comes from; `neox config migrate FILE`
rewrites an old file of GPT-NeoX's line by line and explains each change.

Defaults in *italics* follow from other arguments. Marks after the description:

- **not yet**: accepted and shown, but a run that asks for it stops before it starts, saying so.
- **derived**: follows from another argument; it may be given, too, if it agrees.
- **found**: the program finds the value; what a file says has no effect, and a warning says so.
- **no effect**: decided elsewhere, or read nowhere, as in GPT-NeoX; a warning says so.
"""


def page() -> str:
    """The whole page."""
    lines = [_TOP]
    for group, record in groups():
        title = sys.modules[record.__module__].__doc__
        assert title is not None
        lines += [f"## {group}", "", " ".join(title.split()), "", *_header()]
        lines += [_row(e.name, e.wanted, e.default, e.about) for e in _entries(group)]
        lines.append("")
        for entry in _entries(group):
            lines += _sections(entry.name, entry.wanted)
    lines += ["## Older names", "", "| older | now |", "|---|---|"]
    lines += [f"| `{old}` | `{new}` |" for old, new in OLD_NAMES.items()]
    return "\n".join(lines) + "\n"


def _entries(group: str) -> Iterator[Entry]:
    return (entry for entry in table().values() if entry.group == group)


def _header() -> list[str]:
    return ["| name | type | default | description |", "|---|---|---|---|"]


def _sections(name: str, wanted: object) -> list[str]:
    """A table for a nested dict, and for the dicts in it."""
    record = record_in(wanted)
    if record is None:
        return []
    lines = [f"### {name}", "", (record.__doc__ or "").strip(), "", *_header()]
    inner: list[str] = []
    for field in dataclasses.fields(record):
        lines.append(_row(field.name, field.type, field.default, argument_of(field)))
        inner += _sections(f"{name}.{field.name}", field.type)
    return [*lines, "", *inner]


def _row(name: str, wanted: object, default: object, about: Argument) -> str:
    unit = f" ({about.unit})" if about.unit else ""
    doc = f"{about.doc}{_mark(default, about)}".replace("|", "\\|")
    return f"| `{name}` | {_type(wanted)}{unit} | {_default(default, about)} | {doc} |"


def _type(wanted: object) -> str:
    options = [option for option in _options(wanted) if option is not type(None)]
    return " or ".join(dict.fromkeys(_type_name(option) for option in options))


def _options(wanted: object) -> tuple[object, ...]:
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        return typing.get_args(wanted)
    return (wanted,)


def _type_name(option: object) -> str:
    origin = typing.get_origin(option)
    if origin is typing.Literal:
        return ", ".join(
            f"`{as_yaml(choice).strip(chr(34))}`" for choice in typing.get_args(option)
        )
    if origin is tuple:
        first, *_ = typing.get_args(option)
        return f"list of {_type(first)}" if not _is_pattern(first) else "list of kinds"
    if origin is Mapping:
        return "dict"
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names[option] if isinstance(option, type) and option in names else "dict, see below"


def _is_pattern(item: object) -> bool:
    return any(typing.get_origin(option) is tuple for option in _options(item))


def _default(default: object, about: Argument) -> str:
    if about.status == "derived":
        return f"*{about.note}*"
    if default is None:
        return "unset"
    if dataclasses.is_dataclass(default):
        return "see below"
    return f"`{as_yaml(default)}`"


def _mark(default: object, about: Argument) -> str:
    if about.status == "unread":
        return " **No effect.**"
    if about.status == "chosen":
        return f" **No effect:** {about.note}."
    if about.status == "runtime":
        return f" **Found:** {about.note}."
    mark = " **Derived.**" if about.status == "derived" else ""
    if about.not_yet is None:
        return mark
    built = [as_yaml(value) for value in about.built if value is not None and value != default]
    but = f" (built: `{'`, `'.join(built)}`)" if built else ""
    return f"{mark} **Not yet:** {about.not_yet}{but}."


def main() -> int:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
