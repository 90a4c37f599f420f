"""Loads a site profile: file, inheritance, types, then what types cannot say."""

import dataclasses
import re
from typing import get_args

from neox.content import Shelf
from neox.plugins import LAUNCHERS, SCHEDULERS, plugins
from neox.sites.evidence import standing_facts
from neox.sites.inherit import Document, read_document
from neox.sites.located import Value
from neox.sites.placeholders import check_placeholders
from neox.sites.problems import ProfileErrors, Report, nearest
from neox.sites.profile import Bin, Launcher, LauncherKind, Profile, Scheduler, SchedulerKind
from neox.sites.ranges import RangeError, parse_nodes
from neox.sites.typed import Builder, Reshape
from neox.sites.validate import check_profile

# a number, a time, a core or node range, a date: what a person could look up and find changed
_LOOKS_LIKE_NUMBER = re.compile(r"\d+([-:,.]\d+)*-?")


def load_site(name: str, shelf: Shelf) -> Profile:
    """The profile NAME of the shelf, or of a path that ends in .toml.

    Raises NotOnShelf for an unknown name and ProfileErrors with everything that is wrong.
    """
    path = shelf.find(name)
    report = Report(ProfileErrors)
    document = read_document(path, shelf, report)
    check_placeholders(document.tree, report)
    builder = Builder(
        report,
        {
            Profile: _profile_table,
            Scheduler: _kind_of(SCHEDULERS, get_args(SchedulerKind)),
            Launcher: _kind_of(LAUNCHERS, get_args(LauncherKind)),
            Bin: _bin_table,
        },
    )
    facts = {"name": path.stem, "files": document.files, **_places(document)}
    profile = _with_default_queue(builder.build(Profile, document.tree, facts))
    check_profile(profile, report)
    report.check()
    return dataclasses.replace(_with_domains(profile), facts=standing_facts(profile))


def _places(document: Document) -> dict[str, object]:
    origins = {value.path: value.where for value in document.tree.walk() if value.path}
    numbers = tuple(
        value.path
        for value in document.tree.leaves()
        if _is_number(value) and not value.path.startswith("facts.")
    )
    return {"origins": origins, "numbers": numbers}


def _is_number(value: Value) -> bool:
    if value.elements:
        return all(_is_number(element) for element in value.elements)
    if isinstance(value.data, str):
        return _LOOKS_LIKE_NUMBER.fullmatch(value.data) is not None
    return isinstance(value.data, int | float) and not isinstance(value.data, bool)


def _profile_table(table: Value, report: Report) -> Value:
    """`[node]` is the one node type, and `[[env.when]]` stands apart from `[env]`."""
    return _split_env(_one_node(table, report), report)


def _one_node(table: Value, report: Report) -> Value:
    node = table.table.get("node")
    if node is None:
        return table
    if "node_types" in table.table:
        report.add(node.where, '[node] and [[node_types]]: write one; `remove = ["node"]` drops it')
    only = Value((node,), node.path, node.where)
    return table.put({"node_types": only}, drop=("node",))


def _split_env(table: Value, report: Report) -> Value:
    if "env_when" in table.table:
        report.add(table.table["env_when"].where, "unknown key 'env_when'; write [[env.when]]")
    env = table.table.get("env")
    if env is None or not env.is_table or "when" not in env.table:
        return table
    return table.put({"env": env.put({}, drop=("when",)), "env_when": env.table["when"]})


def _kind_of(group: str, ours: tuple[str, ...]) -> Reshape:
    """`kind` is one of ours, or one that an installed package brings; it is not loaded for that."""

    def check(table: Value, report: Report) -> Value:
        kind = table.table.get("kind")
        if kind is not None and isinstance(kind.data, str) and kind.data not in ours:
            known = (*ours, *(one.kind for one in plugins(group)))
            if kind.data not in known:
                choices = nearest(kind.data, known)
                report.add(kind.where, f"{kind.path}: {kind.data!r} is not a choice{choices}")
        return table

    return check


def _bin_table(table: Value, report: Report) -> Value:
    """`nodes = "92-183"` is low and high."""
    nodes = table.table.get("nodes")
    if nodes is None:
        report.add(table.where, f'{table.path}: `nodes` is missing, such as nodes = "1-91"')
        low, high = 1, 1
    else:
        low, high = _closed_range(nodes, report)
    ends = {end: Value(n, table.path, table.where) for end, n in (("low", low), ("high", high))}
    return table.put(ends, drop=("nodes",))


def _closed_range(nodes: Value, report: Report) -> tuple[int, int]:
    try:
        low, high = parse_nodes(str(nodes.data))
    except RangeError as error:
        report.add(nodes.where, f"{nodes.path}: {error}")
        return 1, 1
    if high is None:
        report.add(nodes.where, f'{nodes.path}: a bin has an upper end, such as "{low}-{low + 99}"')
    return low, high or low


def _with_default_queue(profile: Profile) -> Profile:
    """Where there is one queue it is the default."""
    if len(profile.queues) != 1 or profile.queues[0].default:
        return profile
    return dataclasses.replace(
        profile, queues=(dataclasses.replace(profile.queues[0], default=True),)
    )


def _with_domains(profile: Profile) -> Profile:
    """A stated node without `numa` is one domain."""
    nodes = tuple(
        dataclasses.replace(node, numa=(f"0-{node.cores - 1}",))
        if node.anatomy == "stated" and not node.numa
        else node
        for node in profile.node_types
    )
    return dataclasses.replace(profile, node_types=nodes)
