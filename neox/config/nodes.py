"""YAML or JSON text as a tree that remembers lines. Types come later, from the argument table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from neox.config.places import ConfigErrors, Place, problem_at

if TYPE_CHECKING:
    import yaml

LeafKind = Literal["text", "int", "float", "bool", "null"]

_MOST_NODES = 100_000  # aliases may unfold into more than a machine can hold
_DEEPEST = 30  # an alias may contain itself
_TOO_DEEP = "is nested too deeply for a config"
_KINDS: Mapping[str, LeafKind] = {
    "tag:yaml.org,2002:int": "int",
    "tag:yaml.org,2002:float": "float",
    "tag:yaml.org,2002:bool": "bool",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:timestamp": "text",  # no argument is a date: the text is what was meant
    "tag:yaml.org,2002:value": "text",  # a lone "="
}


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A scalar as it stands in the text, and what YAML takes it for."""

    place: Place
    text: str
    kind: LeafKind
    quoted: bool = False
    raw: str | None = None  # the bytes after KEY=, which a text argument takes as they are


@dataclass(frozen=True, kw_only=True)
class Row:
    place: Place
    items: tuple["Node", ...]
    raw: str | None = None


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A mapping. A key may stand in it twice, which only the reader of the tree can judge."""

    place: Place
    entries: tuple[tuple[str, "Node"], ...]
    raw: str | None = None


Node = Leaf | Row | Branch


def parse(text: str, source: str) -> Branch:
    """The tree of a config file's text.

    Raises ConfigErrors where the text is empty, not YAML, or not a mapping at its top.
    """
    top = Place(kind="file", source=source)
    if "\x00" in text:
        raise ConfigErrors([problem_at(top, "is a binary file, not YAML or JSON")])
    node = _compose(text, Place(kind="file", source=source, line=1))
    if node is None:
        raise ConfigErrors([problem_at(top, "is empty; a config has lines like hidden_size: 512")])
    tree = _Unfolding(source).node(node, 0)
    if not isinstance(tree, Branch):
        raise ConfigErrors(
            [problem_at(tree.place, "is not a mapping; a config has lines like hidden_size: 512")]
        )
    return tree


def parse_override(text: str) -> tuple[tuple[str, ...], Node]:
    """Key path and value of a KEY=VALUE; dots in KEY reach into dicts.

    Raises ConfigErrors where there is no KEY or no `=`.
    """
    place = Place(kind="command line", source=text)
    key, equals, raw = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigErrors([problem_at(place, "is neither a file nor KEY=VALUE")])
    return path, _override_value(raw, place)


def from_values(value: object, place: Place) -> Node:
    """The tree of plain values, such as a job kind's `config` table."""
    if isinstance(value, Mapping):
        entries = tuple((str(key), from_values(item, place)) for key, item in value.items())
        return Branch(place=place, entries=entries)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Row(place=place, items=tuple(from_values(item, place) for item in value))
    return _scalar(value, place)


def _scalar(value: object, place: Place) -> Leaf:
    match value:
        case None:
            return Leaf(place=place, text="null", kind="null")
        case bool():
            return Leaf(place=place, text="true" if value else "false", kind="bool")
        case int():
            return Leaf(place=place, text=str(value), kind="int")
        case float():
            return Leaf(place=place, text=repr(value), kind="float")
        case _:
            return Leaf(place=place, text=str(value), kind="text", quoted=True)


def _override_value(raw: str, place: Place) -> Node:
    as_text = Leaf(place=place, text=raw, kind="text", raw=raw)
    if not raw.strip():
        return as_text
    try:
        node = _compose(raw, place)
    except ConfigErrors:
        return as_text  # a text argument takes it; any other says what it wanted
    if node is None:
        return as_text
    return _at(_Unfolding(place.source).node(node, 0), place, raw)


def _at(node: Node, place: Place, raw: str) -> Node:
    """The same value, said to stand at `place`: a KEY=VALUE has no lines."""
    match node:
        case Leaf():
            return replace(node, place=place, raw=raw)
        case Row():
            items = tuple(replace(_at(item, place, raw), raw=None) for item in node.items)
            return replace(node, place=place, items=items, raw=raw)
        case Branch():
            entries = tuple(
                (key, replace(_at(item, place, raw), raw=None)) for key, item in node.entries
            )
            return replace(node, place=place, entries=entries, raw=raw)


def _compose(text: str, place: Place) -> "yaml.Node | None":
    import yaml  # noqa: PLC0415  (neox-submit --help does without)

    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        if _depth_at_most(text) > _DEEPEST and _depth(text, loader) > _DEEPEST:
            raise ConfigErrors([problem_at(place, _TOO_DEEP)])
        return yaml.compose(_json_as_yaml(text), Loader=loader)
    except ConfigErrors:
        raise
    except yaml.MarkedYAMLError as error:
        if "nesting depth" in (error.problem or ""):  # libyaml's own limit, of 1,000
            raise ConfigErrors([problem_at(place, _TOO_DEEP)]) from None
        mark = error.problem_mark
        line = place.line if mark is None or place.line is None else mark.line + 1
        message = f"is not YAML: {error.problem or error.context or 'cannot be read'}"
        raise ConfigErrors([problem_at(replace(place, line=line), message)]) from None
    except (yaml.YAMLError, ValueError) as error:
        message = f"is not YAML: {str(error).splitlines()[0]}"
        raise ConfigErrors([problem_at(replace(place, line=None), message)]) from None


def _depth_at_most(text: str) -> int:
    """A quick bound on how deep values nest: brackets, or indentation and dashes."""
    indents = (len(line) - len(line.lstrip(" -?")) for line in text.split("\n"))
    return text.count("[") + text.count("{") + 2 * max(indents, default=0)


def _depth(text: str, loader: "type[yaml.CSafeLoader] | type[yaml.SafeLoader]") -> int:
    """How deep values nest; PyYAML's composer recurses, and a deep text would end the process."""
    import yaml  # noqa: PLC0415

    depth = deepest = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if deepest > _DEEPEST:
            break
    return deepest


def _json_as_yaml(text: str) -> str:
    """JSON with the two things that YAML lacks taken out: tabs, and characters in two halves."""
    if not text.lstrip().startswith("{"):
        return text
    halves = re.compile(r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)")
    return halves.sub(_joined, text.replace("\t", " "))


def _joined(halves: re.Match[str]) -> str:
    units = bytes.fromhex(halves[1] + halves[2])
    return units.decode("utf-16-be", errors="replace")


class _Unfolding:
    """Turns PyYAML's nodes into ours; an alias becomes a copy, within bounds."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0

    def node(self, node: "yaml.Node", depth: int) -> Node:
        import yaml  # noqa: PLC0415

        place = Place(kind="file", source=self._source, line=node.start_mark.line + 1)
        self._count += 1
        if self._count > _MOST_NODES or depth > _DEEPEST:
            message = "unfolds into too many values; write them out instead of using aliases"
            raise ConfigErrors([problem_at(place, message)])
        if isinstance(node, yaml.MappingNode):
            entries = tuple(
                (self._key(key), self.node(value, depth + 1)) for key, value in node.value
            )
            return Branch(place=place, entries=entries)
        if isinstance(node, yaml.SequenceNode):
            return Row(place=place, items=tuple(self.node(n, depth + 1) for n in node.value))
        assert isinstance(node, yaml.ScalarNode)
        if node.tag not in _KINDS:
            raise ConfigErrors([problem_at(place, f"the YAML tag {node.tag} is not supported")])
        quoted = bool(node.style)  # ', ", | or >
        return Leaf(place=place, text=node.value, kind=_KINDS[node.tag], quoted=quoted)

    def _key(self, node: "yaml.Node") -> str:
        import yaml  # noqa: PLC0415

        place = Place(kind="file", source=self._source, line=node.start_mark.line + 1)
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigErrors([problem_at(place, "a key must be a name")])
        if node.tag == "tag:yaml.org,2002:merge":
            message = "the merge key << is not supported; write the keys out"
            raise ConfigErrors([problem_at(place, message)])
        return str(node.value)
