"""A plan becomes shell scripts: `job.sh`, which the scheduler runs, and `rank.sh`, which each rank
runs; `node.sh` where a launcher starts no ranks itself.

The scripts' text stands in `templates/`. Jinja2 passes every value through `_printed`, which quotes
it for the shell: an unquoted value cannot be written by accident, and a value that has no place in
a script is an error. Jinja2 is imported only when something is rendered.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from neox.content import shipped
from neox.submit.origin import site_origin
from neox.submit.origins import LINE_MARK, SECTION_MARK, split_origins
from neox.submit.page import JobPage, NodePage, RankPage, job_page, node_page, rank_page
from neox.submit.plan import Directive, Plan
from neox.submit.quoting import Shell, check_directive_line, check_text, shell_text, shell_word
from neox.submit.schedulers import scheduler
from neox.submit.texts import plan_texts
from neox.submit.words import Literal, ShellVar, Word

if TYPE_CHECKING:
    from jinja2 import Environment

    from neox.submit.array import ArrayPage

Page = JobPage | NodePage | RankPage
WIDTH = 100
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Script:
    """The scripts of one link, and where each line of `job` comes from."""

    job: str
    rank: str
    node: str | None  # where the launcher starts one process for each node
    job_origins: tuple[str, ...]  # one for each line of `job`


def render(plan: Plan, *, link: int) -> Script:
    """Print the scripts of link number `link` (from 1). The same plan gives the same bytes.

    Raises QuotingError, naming the field, for text that cannot stand in a script.
    """
    job, origins = render_job(plan, link=link)
    rank = _render(_templates(plan), "rank.sh.j2", plan, rank_page(plan, link))
    return Script(job=job, rank=rank, node=_node(plan, link), job_origins=origins)


def _node(plan: Plan, link: int) -> str | None:
    node = plan.launch.node
    if node is None:
        return None
    page = node_page(plan, link, node)
    return _render(_templates(plan), "node.sh.j2", plan, page)


def render_job(plan: Plan, *, link: int) -> tuple[str, tuple[str, ...]]:
    """`job.sh` alone, and where each of its lines comes from. Raises as `render` does."""
    assert link >= 1, link
    for field, text in plan_texts(plan):
        check_text(field, text)
    templates = _templates(plan)
    marked = _render(templates, f"{plan.site.scheduler.kind}.sh.j2", plan, job_page(plan, link))
    return split_origins(marked)


def render_array(plan: Plan, page: "ArrayPage") -> str:
    """`array.sh` of a sweep; `plan` is that of any of its runs."""
    return _render(_templates(plan), "array.sh.j2", plan, page)


def _templates(plan: Plan) -> "Environment":
    """Ours, and behind them those of a plugin's scheduler."""
    return _environment(scheduler(plan.site.scheduler.kind).templates)


@cache
def _environment(brought: Path | None) -> "Environment":
    """Kept for the next script: a template is read and compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader([shipped("templates"), *([brought] if brought else [])]),
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="<#",  # because {# begins a length in bash
        comment_end_string="#>",
    )


def _render(templates: "Environment", name: str, plan: Plan, page: "Page | ArrayPage") -> str:
    words: dict[str, Callable[..., Shell | str]] = {
        "section": lambda text: Shell(f"{SECTION_MARK}{text}"),
        "origin": lambda text: Shell(f"{LINE_MARK}{text}"),
        "from_site": lambda path: site_origin(plan.site, path).text,
        "comment": lambda text: Shell(check_text("comment", text)),
        "name": _variable_name,
        "directive_line": _directive_line,
        "command": _command,
        "array": _array,
    }
    return templates.get_template(name).render(plan=plan, page=page, **words)


def _printed(value: object) -> str:
    """What a value looks like in a script. Every expression of a template passes through here."""
    match value:
        case Shell(text):
            return text
        case bool():
            raise AssertionError("a template prints a truth value")
        case int():
            return str(value)
        case str():
            return shell_text(check_text("value", value))
        case Path():
            return shell_text(check_text("path", str(value)))
        case tuple() if all(isinstance(part, Literal | ShellVar) for part in value):
            return shell_word(value)
        case _:
            raise AssertionError(f"a template prints a {type(value).__name__}: {value!r}")


def _variable_name(text: str) -> Shell:
    assert VARIABLE_NAME.fullmatch(text), text
    return Shell(text)


def _directive_line(directive: Directive) -> Shell:
    return Shell(check_directive_line(f"directive from {directive.origin.text}", directive.text))


def _command(words: tuple[Word | Shell, ...], indent: int) -> Shell:
    """A command on lines that fit the page, `indent` columns in."""
    lines = _filled(map(_shown_word, words), WIDTH - 4 - indent)
    return Shell((" \\\n" + " " * (indent + 2)).join(lines))


def _array(words: tuple[Word, ...], indent: int) -> Shell:
    """The elements of an array, on lines that fit the page."""
    lines = _filled(map(_element, words), WIDTH - 4 - indent)
    return Shell(("\n" + " " * (indent + 2)).join(lines))


def _shown_word(word: Word | Shell) -> str:
    return word.text if isinstance(word, Shell) else shell_word(word)


def _element(word: Word) -> str:
    """A bare comma would look like one that parts elements, which it does not."""
    printed = shell_word(word)
    return f"'{printed}'" if "," in printed and not {"'", '"'} & set(printed) else printed


def _filled(words: Iterable[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line
