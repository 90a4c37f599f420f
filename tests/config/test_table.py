"""The argument table is complete, documented, and read."""

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

from neox.config import reference
from neox.config.arguments.argument import Argument, argument_of
from neox.config.run_config import RunConfig
from neox.config.table import groups, record_in, table

ROOT = Path(__file__).parents[2]
OURS = {
    "engine",
    "loss_reduction",
    "vocab_size",
    "data_parallel_size",
    "order",
    "weight_by_size",
    "reset_attention_mask",
    "reset_position_ids",
}
DEEPSPEEDS = {"zero_allow_untested_optimizer"}  # accepted there through DeepSpeed

# Arguments whose readers are not written yet. Empty when the house is finished.
NOT_WIRED: frozenset[str] = frozenset()


def predecessors() -> dict[str, str]:
    text = (Path(__file__).parent / "gpt_neox_arguments.txt").read_text()
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def test_every_argument_of_gpt_neox_is_known() -> None:
    theirs = predecessors()
    assert len(theirs) == 321
    assert set(table()) - OURS - DEEPSPEEDS == set(theirs)


def test_what_gpt_neox_never_read_is_unread_here() -> None:
    for name, status in predecessors().items():
        if status == "unread":
            assert table()[name].about.status == "unread", name


def test_every_argument_is_described() -> None:
    for name, about in everything():
        assert about.doc.endswith((".", "?")), name
        assert len(about.doc) < 140, name
        needs_note = about.status in ("derived", "runtime", "chosen")
        assert (about.note is not None) == needs_note, name
        if about.not_yet is not None:
            assert not about.not_yet.endswith("."), name


def test_groups_are_the_ones_that_others_rely_on() -> None:
    assert [name for name, _ in groups()][:6] == [
        "model",
        "parallel",
        "batch",
        "training",
        "optimizer",
        "schedule",
    ]
    assert RunConfig() == RunConfig()


def test_the_reference_page_is_fresh() -> None:
    stale = "docs/arguments.md is stale; run python -m neox.config.reference"
    assert reference.PAGE.read_text() == reference.page(), stale


def test_every_argument_that_works_is_read_somewhere() -> None:
    read = set(names_read())
    unread = {
        name.rpartition(".")[2]
        for name, about in everything()
        if about.status == "user" and about.not_yet is None and "." not in name
        if has_an_effect(table()[name].wanted)
    } - read
    assert unread == NOT_WIRED


def has_an_effect(wanted: object) -> bool:
    """Not where there is one choice alone, or every key asks for what is not built yet."""
    if typing.get_origin(wanted) is typing.Literal:
        return len(typing.get_args(wanted)) > 1
    fields = [about for _, about in inner("", wanted)]
    return not fields or any(f.status == "user" and f.not_yet is None for f in fields)


def everything() -> Iterator[tuple[str, Argument]]:
    for name, entry in table().items():
        yield name, entry.about
        yield from inner(name, entry.wanted)


def inner(name: str, wanted: object) -> Iterator[tuple[str, Argument]]:
    record = record_in(wanted)
    if record is not None:
        for field in dataclasses.fields(record):
            yield f"{name}.{field.name}", argument_of(field)
            yield from inner(f"{name}.{field.name}", field.type)


def names_read() -> Iterator[str]:
    """Attributes that any module loads, outside the rules that only check them."""
    for path in (ROOT / "neox").rglob("*.py"):
        if path.parent.name == "arguments" or path.name in ("rules.py", "ranges.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield node.attr
