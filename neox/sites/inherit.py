"""Reads a file of a shelf together with the files it extends.

`extends = "NAME"` names one parent. A file that extends its own name means the next one of that
name down the shelf: `./sites/frontier.toml` with `extends = "frontier"` amends the shipped profile.
"""

from dataclasses import dataclass
from pathlib import Path

from neox.content import NotOnShelf, Shelf
from neox.sites.located import Value, merge, read_toml, without
from neox.sites.problems import Report

SCHEMA = 1
_HEADER = ("schema", "extends", "remove")


@dataclass(frozen=True, kw_only=True)
class Document:
    """The merged tree without its header keys, and the files it came from, the child first."""

    tree: Value
    files: tuple[str, ...]


def read_document(path: Path, shelf: Shelf, report: Report) -> Document:
    """Everything that is wrong with the header of a file or of its parents is raised at once."""
    return _read(path, shelf, report, ())


def _read(path: Path, shelf: Shelf, report: Report, children: tuple[Path, ...]) -> Document:
    file = shelf.show(path)
    tree = read_toml(_text(path, file, report), file, report)
    _check_schema(tree, report)
    removed = _removed(tree, report)
    parent = _parent(tree, path, shelf, report, children)
    body = tree.put({}, drop=_HEADER)
    if parent is None:
        for entry in removed:
            report.add(entry.where, "`remove` without `extends` has nothing to remove from")
        return Document(tree=body, files=(file,))
    above = _read(parent, shelf, report, (*children, path))
    kept = above.tree
    for entry in removed:
        pruned = without(kept, str(entry.data))
        if pruned is None:
            report.add(entry.where, f"nothing to remove: {entry.data!r} is not in {above.files[0]}")
        else:
            kept = pruned
    return Document(tree=merge(kept, body), files=(file, *above.files))


def _text(path: Path, file: str, report: Report) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        report.add(file, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        report.add(file, "is not UTF-8 text")
    report.check()
    raise AssertionError(path)  # check() has raised


def _check_schema(tree: Value, report: Report) -> None:
    schema = tree.table.get("schema")
    if schema is None:
        report.add(f"{tree.where}:1", f"`schema = {SCHEMA}` is missing; write it first")
    elif schema.data != SCHEMA or isinstance(schema.data, bool):
        report.add(schema.where, f"schema {schema.data!r} is unknown; this NeoX reads {SCHEMA}")


def _removed(tree: Value, report: Report) -> tuple[Value, ...]:
    value = tree.table.get("remove")
    if value is None:
        return ()
    if not isinstance(value.data, tuple):
        report.add(value.where, '`remove` is a list of dotted paths, such as ["env.NCCL_NET"]')
        return ()
    for entry in value.elements:
        if not isinstance(entry.data, str):
            report.add(entry.where, f"`remove` holds dotted paths, not {entry.data!r}")
    return tuple(entry for entry in value.elements if isinstance(entry.data, str))


def _parent(
    tree: Value, path: Path, shelf: Shelf, report: Report, children: tuple[Path, ...]
) -> Path | None:
    value = tree.table.get("extends")
    if value is None:
        return None
    if not isinstance(value.data, str):
        report.add(value.where, f"`extends` is one name, not {value.data!r}")
        return None
    candidates = shelf.paths(value.data)
    if value.data == path.stem and path in candidates:
        candidates = candidates[candidates.index(path) + 1 :]
        if not candidates:
            report.add(value.where, f"{path.stem!r} extends itself")
            return None
    if not candidates:
        report.add(value.where, _missing(value.data, shelf))
        return None
    if candidates[0] in (*children, path):
        circle = " -> ".join(p.stem for p in (*children, path, candidates[0]))
        report.add(value.where, f"profiles extend each other in a circle: {circle}")
        return None
    return candidates[0]


def _missing(name: str, shelf: Shelf) -> str:
    try:
        shelf.find(name)
    except NotOnShelf as error:
        return f"`extends`: {error}"
    raise AssertionError(name)
