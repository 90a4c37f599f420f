"""The values of a shelf's file never hold shell: only text, and placeholders from a fixed set."""

import re

from neox.sites.located import Value
from neox.sites.problems import Report, nearest

BEFORE_SUBMISSION = frozenset({"user", "account", "home", "run"})  # known to the plan
IN_THE_JOB = BEFORE_SUBMISSION | {"job_id", "cores_per_rank", "local_rank", "node"}

# in these tables values are set inside the job, so that they may name the job and its rank
_INSIDE = ("env.", "container.", "caches.")
_GPUS = frozenset({"gpus"})  # of a node, where they are asked for
_ASKS_FOR_GPUS = ("scheduler.gpus_line", "launcher.flags")
_CHUNK = frozenset({"cpus", "gpus"})  # of a node, in PBS's select
_REGEXPS = frozenset({"account.pattern", "identify.hostname"})
_PROSE = ("facts.", "title", "policy.reason", "account.example")
_VARIABLE_ALLOWED = ("modules.prepend.", "modules.use")

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_SHELL = re.compile(r"\$\(|\$\{|\$|`|;|\n|[\x00-\x1f\x7f]")
_LISTS = ("env.",)  # a library may part its list by ";", which the script quotes like all else


def check_placeholders(tree: Value, report: Report) -> None:
    """Report unknown placeholders and shell text in every value and in every key of the tree."""
    for leaf in tree.leaves():
        for value in leaf.elements or (leaf,):
            if isinstance(value.data, str):
                _check(value, value.data, report)


def allowed_in(path: str) -> frozenset[str]:
    """The placeholders that the value of a dotted path may hold."""
    if path.startswith(_ASKS_FOR_GPUS):
        return _GPUS
    if path.startswith("scheduler.chunk"):
        return _CHUNK
    return IN_THE_JOB if path.startswith(_INSIDE) else BEFORE_SUBMISSION


def _check(value: Value, text: str, report: Report) -> None:
    if value.path in _REGEXPS or value.path.startswith(_PROSE) or _is_of_an_account(value.path):
        return
    if value.path.startswith(_VARIABLE_ALLOWED) and _VARIABLE.fullmatch(text):
        return  # $NAME alone: a path that only a module knows
    unlisted = text.replace(";", "") if value.path.startswith(_LISTS) else text
    if shell := _SHELL.search(unlisted):
        report.add(
            value.where,
            f"{value.path}: {shell[0]!r} is shell, and values are plain text"
            " (a whole value $NAME may stand in modules.prepend and modules.use)",
        )
    allowed = allowed_in(value.path)
    rest = _PLACEHOLDER.sub("", text)
    for name in _PLACEHOLDER.findall(text):
        if name not in allowed:
            there = nearest(name, allowed)
            report.add(
                value.where, f"{value.path}: placeholder {{{name}}} is not known here{there}"
            )
    if "{" in rest or "}" in rest:
        report.add(value.where, f"{value.path}: a brace that opens no placeholder")


def _is_of_an_account(path: str) -> bool:
    return path.startswith("queues.") and path.endswith((".account.pattern", ".account.example"))
