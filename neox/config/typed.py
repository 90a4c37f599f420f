"""From the tree to typed values: each argument says what it wants, and gets that or an error."""

import dataclasses
import math
import re
import types
import typing
import unicodedata
from collections.abc import Mapping, Sequence

from neox.config.arguments.argument import Argument, argument_of
from neox.config.nodes import Branch, Leaf, Node, Row
from neox.config.places import Place, Problem, problem_at

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 40  # characters
_LARGEST = 2.0**62
_TRUE = frozenset({"true", "yes", "on"})
_EXAMPLES = {int: "whole number", float: "number", bool: "true or false", str: "text"}


class Refused(ValueError):
    """A value that does not fit; becomes a Problem where the argument's name is known."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class Reading:
    """Collects what is wrong and where each value stood, over all values of a config."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[str, Place] = {}

    def argument(self, node: Node, wanted: object, about: Argument, name: str) -> object | None:
        """The typed value of one argument; None, and a problem on record, where it does not fit."""
        self.places[name] = node.place
        try:
            return self._value(node, wanted, about, name)
        except Refused as refused:
            self.problems.append(problem_at(refused.place, f"{name}: {refused.message}"))
            return None

    def fields(self, branch: Branch, record: type, name: str) -> dict[str, object]:
        """The given fields of the nested dict `name`, typed."""
        known = {field.name: field for field in dataclasses.fields(record)}
        values: dict[str, object] = {}
        for key, node in unique_keys(branch, f"{name}.", self.problems):
            if key not in known:
                self.problems.append(
                    problem_at(node.place, f"unknown key {name}.{key}{nearest(key, known)}")
                )
                continue
            before = len(self.problems)
            about = argument_of(known[key])
            value = self.argument(node, known[key].type, about, f"{name}.{key}")
            if len(self.problems) == before:
                values[key] = value
        return values

    def _value(self, node: Node, wanted: object, about: Argument, name: str) -> object:
        options = _options(wanted)
        if isinstance(node, Leaf) and node.kind == "null" and not node.quoted:
            if type(None) in options:
                return None
            raise Refused(node.place, f"expected {_names(options)}, got null; leave it out instead")
        if node.raw is not None and _wants_raw(node, options):
            return _text(Leaf(place=node.place, text=node.raw, kind="text", quoted=True), about)
        match node:
            case Branch():
                return self._branch(node, options, name)
            case Row():
                return self._row(node, options, about, name)
            case Leaf():
                return _leaf(node, options, about)

    def _branch(self, node: Branch, options: Sequence[object], name: str) -> object:
        for option in options:
            if isinstance(option, type) and dataclasses.is_dataclass(option):
                return option(**self.fields(node, option, name))
            if typing.get_origin(option) is Mapping:
                return plain(node)
        raise Refused(node.place, f"expected {_names(options)}, got a dict")

    def _row(self, node: Row, options: Sequence[object], about: Argument, name: str) -> object:
        for option in options:
            if typing.get_origin(option) is tuple:
                wanted = self._item_types(node, option)
                return tuple(
                    self._value(item, kind, about, name)
                    for item, kind in zip(node.items, wanted, strict=True)
                )
        raise Refused(node.place, f"expected {_names(options)}, got a list")

    def _item_types(self, node: Row, option: object) -> Sequence[object]:
        wanted = typing.get_args(option)
        if wanted[-1] is ...:
            return [wanted[0]] * len(node.items)
        if len(wanted) != len(node.items):
            raise Refused(node.place, f"expected {len(wanted)} values, got {len(node.items)}")
        return wanted


def unique_keys(branch: Branch, prefix: str, problems: list[Problem]) -> Sequence[tuple[str, Node]]:
    """The entries with `-` read as `_`; a key that stands twice is put on record."""
    seen: dict[str, Node] = {}
    for key, node in branch.entries:
        name = key.replace("-", "_")
        if name in seen:
            message = f"{prefix}{name} is given twice, first in line {seen[name].place.line}"
            problems.append(problem_at(node.place, message))
        else:
            seen[name] = node
    return list(seen.items())


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """`; did you mean X?`, where some known name is near."""
    import difflib  # noqa: PLC0415  (slow to import, and only errors need it)

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def plain(node: Node) -> object:
    """A value nobody types: what YAML itself would make of it."""
    match node:
        case Branch():
            for key, item in node.entries:
                _refuse_control_characters(Leaf(place=item.place, text=key, kind="text"), "")
            return {key: plain(item) for key, item in node.entries}
        case Row():
            return tuple(plain(item) for item in node.items)
        case Leaf():
            return _plain_leaf(node)


def same(one: Node, other: Node) -> bool:
    """Do both say the same, however they write it?"""
    try:
        return plain(one) == plain(other)
    except ValueError:  # neither would pass; typing says why
        return False


def _plain_leaf(node: Leaf) -> object:
    if node.quoted or node.kind == "text":
        _refuse_control_characters(node, "")
        return node.text
    if node.kind == "null":
        return None
    if node.kind == "bool":
        return node.text.lower() in _TRUE
    return _int(node) if _INT.fullmatch(node.text) else _float(node)


def _options(wanted: object) -> Sequence[object]:
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        return typing.get_args(wanted)
    return (wanted,)


def _wants_raw(node: Node, options: Sequence[object]) -> bool:
    """Is what stands after KEY= meant as text, byte for byte, whatever YAML makes of it?"""
    lists = any(typing.get_origin(option) is tuple for option in options)
    return str in options and not (isinstance(node, Row) and lists)


def _leaf(node: Leaf, options: Sequence[object], about: Argument) -> object:
    """The first option that the scalar fits; the error of the likeliest one where none does."""
    refusals: list[Refused] = []
    for option in options:
        try:
            if typing.get_origin(option) is typing.Literal:
                return _choice(node, typing.get_args(option), about)
            if option is int:
                return _int(node)
            if option is float:
                return _float(node)
            if option is bool:
                return _bool(node)
            if option is str:
                return _text(node, about)
        except Refused as refused:
            refusals.append(refused)
    if len(refusals) == 1:
        raise refusals[0]
    raise Refused(node.place, f"expected {_names(options)}, got {_shown(node)}")


def _int(node: Leaf) -> int:
    text = node.text.strip()
    whole = not node.quoted and len(text) <= _LONGEST_NUMBER
    if whole and _FLOAT.fullmatch(text) and abs(float(text)) >= _LARGEST:
        raise Refused(node.place, f"{_shown(node)} is too large")
    if whole and _INT.fullmatch(text):
        return int(text)
    if whole and _FLOAT.fullmatch(text) and float(text).is_integer():
        if not re.fullmatch(r"[-+]?0[0-9]+", text):
            return int(float(text))  # 5e8
        hint = "; YAML reads a leading zero as octal, write it without"
    else:
        hint = "; write it without quotes" if node.quoted and _INT.fullmatch(text) else ""
    raise Refused(node.place, f"expected a whole number, got {_shown(node)}{hint}")


def _float(node: Leaf) -> float:
    text = node.text.strip()
    if not node.quoted and _FLOAT.fullmatch(text):
        value = float(text)  # 1e-4 too, which YAML 1.1 takes for text
        if math.isfinite(value):
            return value
        raise Refused(node.place, f"{_shown(node)} is too large for a number")
    hint = "; write it without quotes" if node.quoted and _FLOAT.fullmatch(text) else ""
    raise Refused(node.place, f"expected a number, got {_shown(node)}{hint}")


def _bool(node: Leaf) -> bool:
    if node.kind == "bool" and not node.quoted:
        return node.text.lower() in _TRUE
    raise Refused(node.place, f"expected true or false, got {_shown(node)}")


def _text(node: Leaf, about: Argument) -> str:
    if not node.quoted and node.kind != "text":
        message = f'expected text, got {_shown(node)}; write "{node.text}" with quotes'
        raise Refused(node.place, message)
    _refuse_control_characters(node, about.allows)
    return node.text


def _refuse_control_characters(node: Leaf, allowed: str) -> None:
    for character in node.text:
        if character in allowed:
            continue
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            message = f"holds the control character U+{ord(character):04X}; take it out"
            raise Refused(node.place, message)


def _choice(node: Leaf, choices: Sequence[object], about: Argument) -> object:
    text = node.text.strip()
    for choice in choices:
        if not isinstance(choice, str) and str(choice) == text and not node.quoted:
            return choice
        if isinstance(choice, str) and choice.lower() == text.lower():
            return choice
    for spelling, choice in about.also:
        if spelling == text.lower():
            return choice
    near = nearest(text, [str(choice) for choice in choices])
    listed = ", ".join(str(choice) for choice in choices)
    raise Refused(node.place, f"{_shown(node)} is not one of {listed}{near}")


def _names(options: Sequence[object]) -> str:
    return " or ".join(dict.fromkeys(_name(o) for o in options if o is not type(None)))


def _name(option: object) -> str:
    if typing.get_origin(option) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(option))
    if typing.get_origin(option) is tuple:
        return "a list"
    if isinstance(option, type) and option in _EXAMPLES:
        return _EXAMPLES[option] if option in (bool, str) else f"a {_EXAMPLES[option]}"
    return "a dict"


def _shown(node: Leaf) -> str:
    text = node.text if len(node.text) <= 60 else f"{node.text[:57]}..."
    if node.kind in ("int", "float") and not node.quoted:
        return f"the number {text}"
    return repr(text) if node.quoted or node.kind == "text" else text
