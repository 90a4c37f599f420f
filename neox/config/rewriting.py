"""Edits to a config's text that leave everything else, comments included, as it stands."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

_REST_OF_LINE = re.compile(r"[ \t]*,?[ \t]*(#[^\n]*)?(?=\n|\Z)")
_COMMA = re.compile(r"\s*,[ \t]*")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A key with its value, and where both stand in the text (characters, end excluded)."""

    name: str  # dotted in nested dicts, `-` read as `_`
    line: int
    key: tuple[int, int]
    value: tuple[int, int]
    scalar: str | None  # the value without quotes; None for lists and dicts
    inner: tuple["Entry", ...] = ()  # of a dict


@dataclass(frozen=True, kw_only=True)
class Edit:
    start: int
    end: int
    text: str


def entries_of(text: str) -> tuple[Entry, ...]:
    """The entries of a YAML or JSON text that is known to parse into a mapping."""
    import yaml  # noqa: PLC0415

    # the pure loader: libyaml does not count columns in characters
    node = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return _entries(node, "", text, starts)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; one inside another goes with it, cuts that touch are one."""
    merged: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if merged and edit.start < merged[-1].end:
            whole = replace(merged[-1], end=max(merged[-1].end, edit.end))
            comment = bool(whole.text) and whole.end > merged[-1].end
            # what follows the cut must not become part of the comment before it
            merged[-1] = replace(whole, text=f"{whole.text}\n") if comment else whole
        else:
            merged.append(edit)
    for edit in reversed(merged):
        start, end = (edit.start, edit.end) if edit.text else _whole_lines(text, edit)
        text = text[:start] + edit.text + text[end:]
    return text


def _whole_lines(text: str, cut: Edit) -> tuple[int, int]:
    """What is cut, with the line break where nothing else stands on its lines."""
    begin, newline = text.rfind("\n", 0, cut.start) + 1, text.find("\n", cut.end)
    if newline < 0 or text[begin : cut.start].strip() or text[cut.end : newline].strip():
        return cut.start, cut.end
    return begin, newline + 1


def renamed(text: str, entry: Entry, name: str) -> Edit:
    """The key under another name, with the dashes and quotes that it has."""
    old = text[slice(*entry.key)]
    new = name.replace("_", "-") if "-" in old else name
    quote = old[0] if old[0] in "\"'" else ""
    return Edit(start=entry.key[0], end=entry.key[1], text=f"{quote}{new}{quote}")


def with_value(text: str, entry: Entry, value: str) -> Edit:
    """Another text as the value, quoted as the old one is."""
    old = text[slice(*entry.value)]
    quote = old[0] if old[:1] in ('"', "'") else ""
    return Edit(start=entry.value[0], end=entry.value[1], text=f"{quote}{value}{quote}")


def taken_out(text: str, entry: Entry, reason: str, *, comments: bool) -> Edit:
    """The entry as a comment under its reason; where no comment can stand, without it."""
    start, end = entry.key[0], entry.value[1]
    begin = text.rfind("\n", 0, start) + 1
    indent = text[begin:start]
    rest = _REST_OF_LINE.match(text, end)
    if comments and rest is not None and not indent.strip():
        lines = text[begin : rest.end()].split("\n")
        shown = [f"{indent}# {line.removeprefix(indent)}" for line in lines]
        above = f"{indent}# {reason}{'' if reason.endswith('?') else ':'}"
        return Edit(start=begin, end=rest.end(), text="\n".join([above, *shown]))
    return _cut(text, start, end)


def _cut(text: str, start: int, end: int) -> Edit:
    """Entry and comma gone: its own, or the one before where it is the last."""
    comma = _COMMA.match(text, end)
    if comma is not None:
        return Edit(start=start, end=comma.end(), text="")
    before = text[:start].rstrip()
    return Edit(start=len(before) - 1 if before.endswith(",") else start, end=end, text="")


def without_trailing_commas(text: str) -> str:
    """JSON with the commas gone that stand before a closing bracket."""
    pattern = r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])'
    return re.sub(pattern, lambda found: found[1] or found[2], text)


def _entries(
    node: "yaml.MappingNode", prefix: str, text: str, starts: Sequence[int]
) -> tuple[Entry, ...]:
    import yaml  # noqa: PLC0415

    found = []
    for key, value in node.value:
        name = f"{prefix}{key.value.replace('-', '_')}"
        nested = isinstance(value, yaml.MappingNode)
        found.append(
            Entry(
                name=name,
                line=key.start_mark.line + 1,
                key=(_at(key.start_mark, starts), _at(key.end_mark, starts)),
                value=(_at(value.start_mark, starts), _end(value, text, starts)),
                scalar=value.value if isinstance(value, yaml.ScalarNode) else None,
                inner=_entries(value, f"{name}.", text, starts) if nested else (),
            )
        )
    return tuple(found)


def _at(mark: "yaml.Mark", starts: Sequence[int]) -> int:
    return starts[mark.line] + int(mark.column)


def _end(node: "yaml.Node", text: str, starts: Sequence[int]) -> int:
    """Where the value's text ends; a block collection says it ends where the next token begins."""
    import yaml  # noqa: PLC0415

    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last, text, starts)
    end = _at(node.end_mark, starts) if node.end_mark.line < len(starts) else len(text)
    return len(text[:end].rstrip())
