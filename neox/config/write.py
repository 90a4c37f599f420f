"""A resolved config as YAML that loads back to the same: the run.yml of a run directory."""

import dataclasses
from collections.abc import Iterator, Mapping

from neox.config.arguments.argument import Argument, argument_of
from neox.config.derive import origin_of
from neox.config.run_config import RunConfig
from neox.config.table import groups, table, value_of

_HEADER = (
    "# The resolved config of one run. Lines that are commented out follow from the others by",
    "# the rule beside them. Given back to neox-submit, this file makes the same run again.",
)


def dump(config: RunConfig) -> str:
    """The flat YAML: equal configs give equal bytes.

    Everything that the engine reads is written out, defaults too, so that a later default
    changes no run; what has no effect is written only where it was given.
    """
    lines = list(_HEADER)
    for group, _ in groups():
        body = [line for name in _names(group) for line in _argument(config, name)]
        if body:
            lines += ["", f"# --- {group}", *body]
    return "\n".join(lines) + "\n"


def _names(group: str) -> Iterator[str]:
    return (entry.name for entry in table().values() if entry.group == group)


def _argument(config: RunConfig, name: str) -> Iterator[str]:
    entry = table()[name]
    value = value_of(config, entry)
    origin = origin_of(config, name)
    if _is_unset(value, entry.default) or not _written(entry.about, origin.kind):
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        body = list(_section(config, name, value))
        if any(not line.lstrip().startswith("#") for line in body):
            yield f"{name}:"
            yield from body
    else:
        yield _line("", name, value, origin.kind, origin.text)


def _section(config: RunConfig, prefix: str, section: object) -> Iterator[str]:
    assert dataclasses.is_dataclass(section)
    indent = "  " * (prefix.count(".") + 1)
    for field in dataclasses.fields(section):
        name = f"{prefix}.{field.name}"
        value: object = getattr(section, field.name)
        origin = origin_of(config, name)
        if _is_unset(value, field.default) or not _written(argument_of(field), origin.kind):
            continue
        if dataclasses.is_dataclass(value):
            body = list(_section(config, name, value))
            if any(not line.lstrip().startswith("#") for line in body):
                yield f"{indent}{field.name}:"
                yield from body
        else:
            yield _line(indent, field.name, value, origin.kind, origin.text)


def _is_unset(value: object, default: object) -> bool:
    """None says something only where the default says something else."""
    return value is None and default is None


def _written(about: Argument, origin: str) -> bool:
    """Is the value part of the config, or only its default standing there without effect?"""
    if about.status in ("derived", "runtime"):
        return origin == "rule"  # as a comment
    works = about.not_yet is None or len(about.built) > 1  # for the default, and other values
    return origin != "default" or (about.status == "user" and works)


def _line(indent: str, name: str, value: object, origin: str, text: str) -> str:
    if origin == "rule":
        return f"{indent}# {name}: {as_yaml(value)}  # {text}"
    return f"{indent}{name}: {as_yaml(value)}"


def as_yaml(value: object) -> str:
    """The value in YAML's flow style, on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(k))}: {as_yaml(v)}" for k, v in value.items()) + "}"
    return _scalar(value)


def _scalar(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case str():
            return _text(value)
        case _:
            assert isinstance(value, int), value
            return str(value)


def _float(value: float) -> str:
    """With a dot in the mantissa: other readers take 1e-05 for text."""
    mantissa, e, power = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{power}"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
