"""Writes docs/site-profile.md from the profile's dataclasses and the comments beside their fields.

    python -m neox.sites.reference docs/site-profile.md

A test fails when the page is stale. What the page says before its tables stands in it by hand.
"""

import dataclasses
import inspect
import io
import sys
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

from neox.sites.profile import Profile
from neox.sites.times import print_time
from neox.sites.typed import Field, file_fields, is_required, is_time

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Dataclass = type[DataclassInstance]

BEGIN = "<!-- everything below is generated from the code -->\n"
# where TOML writes another name than the dataclass
_WRITTEN = {
    "node_types": "node",
    "env_when": "env.when",
    "low": "nodes",
    "per_job": "per_job, per_user, total",
}
_UNWRITTEN = frozenset({"high"})  # the other end of `nodes`
_WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}


def renewed(page: str, cls: "Dataclass") -> str:
    """The page with its tables written anew."""
    before, mark, _ = page.partition(BEGIN)
    assert mark, "the page has no generated part"
    return f"{before}{mark}\n" + "\n".join(_sections(cls)).rstrip() + "\n"


def rewrite(path: Path, cls: "Dataclass") -> None:
    path.write_text(renewed(path.read_text(encoding="utf-8"), cls), encoding="utf-8")


def field_comments(cls: "Dataclass") -> dict[str, str]:
    """What stands after each field, or on the lines above it, of the class's source."""
    comments: dict[str, str] = {}
    above: list[str] = []
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(cls)).readline):
        text = token.string.removeprefix("#").strip()
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            above.append(text)
        elif token.type == tokenize.COMMENT and name:
            comments[name] = " ".join((*above, text))
        elif token.type == tokenize.NAME and not name and _begins_line(token):
            name = token.string
        elif token.type == tokenize.NEWLINE:
            if above and name not in comments:
                comments[name] = " ".join(above)
            name, above = "", []
    return comments


def _begins_line(token: tokenize.TokenInfo) -> bool:
    return not token.line[: token.start[1]].strip()


def _sections(top: "Dataclass") -> Iterator[str]:
    for path, cls in _tables(top, "", []):
        yield f"## `[{path}]`\n" if path else "## The top of the file\n"
        if path:
            yield f"{inspect.cleandoc(cls.__doc__ or '')}\n"
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        yield from _rows(cls)
        yield ""


def _rows(cls: "Dataclass") -> Iterator[str]:
    hints, comments = typing.get_type_hints(cls), field_comments(cls)
    for key, field in file_fields(cls).items():
        if key not in _UNWRITTEN and (field.name == "low" or _nested(hints[field.name]) is None):
            value = _value(field, hints[field.name])
            cells = (f"`{_WRITTEN.get(key, key)}`", value, _default(field))
            meaning = comments.get(field.name, "")
            yield "| " + " | ".join((*cells, meaning)).replace("|  |", "| |") + " |"


def _tables(cls: "Dataclass", path: str, seen: list[object]) -> Iterator[tuple[str, "Dataclass"]]:
    """The class and the classes of its fields, each once, with its dotted place in the file."""
    yield path, cls
    for name, hint in typing.get_type_hints(cls).items():
        inner = _nested(hint)
        if inner is not None and inner not in seen:
            seen.append(inner)
            place = _WRITTEN.get(name, name) + (".NAME" if _is_mapping(hint) else "")
            yield from _tables(inner, f"{path}.{place}" if path else place, seen)


def _nested(hint: object) -> "Dataclass | None":
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            return part
    return None


def _is_mapping(hint: object) -> bool:
    return typing.get_origin(hint) is typing.get_origin(Mapping[str, str])


def _value(field: Field, hint: object) -> str:
    if is_time(field):
        return "time"
    return "node range" if field.name == "low" else _kind(hint)


def _kind(hint: object) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _kind(inner[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if _is_mapping(hint):
        return f"table of {_kind(inner[1])}"
    return _WORDS.get(hint, "value") if isinstance(hint, type) else "value"


def _default(field: Field) -> str:
    if is_required(field):
        return "required"
    default = field.default
    if is_time(field) and isinstance(default, int):
        return f"`{print_time(default)}`"
    if default in (None, (), "") or default is dataclasses.MISSING:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]), Profile)
