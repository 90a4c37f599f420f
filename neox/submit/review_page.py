"""`review.html`: the review as one file that a browser shows without fetching anything.

The text stands in `templates/review.html.j2`. Every value is escaped by Jinja2, scripts are neither
needed nor allowed to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import neox
from neox.content import shipped
from neox.sites.ranges import print_cores
from neox.sites.times import print_time
from neox.submit.diff import Side, TextDiff, differences, side_of_plan
from neox.submit.drawing import (
    ChainFigure,
    GridFigure,
    NodeFigure,
    chain_figure,
    grid_figure,
    node_figure,
)
from neox.submit.evidence import source_of
from neox.submit.memory_drawing import MemoryFigure, memory_figure
from neox.submit.page import command_again
from neox.submit.plan import Plan
from neox.submit.preparing import Prepared
from neox.submit.quoting import shell_text
from neox.submit.render import Script
from neox.submit.review import figures, heading


@dataclass(frozen=True, kw_only=True)
class OriginGroup:
    """Lines of job.sh that the same part of a profile, flag or rule put there."""

    origin: str
    first: int  # number of the first line
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    nodes: str
    time: str
    chosen: bool  # the bin that this job falls into


@dataclass(frozen=True, kw_only=True)
class ReviewPage:
    title: str
    heading: str
    version: str
    link: int
    again: str
    figures: tuple[tuple[str, tuple[str, ...]], ...]
    limits: tuple[LimitRow, ...]
    limits_source: str
    node: NodeFigure
    reserved: str
    grid: GridFigure | None
    chain: ChainFigure | None
    memory: MemoryFigure | None
    script: tuple[OriginGroup, ...]
    texts: tuple[tuple[str, str], ...]  # the other files: name, content
    compared: str  # with what; empty where there is nothing to compare with
    differences: tuple[TextDiff, ...]


def review_page(prepared: Prepared, script: Script, link: int, previous: Side | None) -> str:
    """The page as HTML. The same plan and the same previous run give the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    templates = Environment(
        loader=FileSystemLoader(shipped("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = _page(prepared, script, link, previous)
    return templates.get_template("review.html.j2").render(plan=prepared.plan, page=page)


def _page(prepared: Prepared, script: Script, link: int, previous: Side | None) -> ReviewPage:
    from neox.config.write import dump  # noqa: PLC0415

    plan = prepared.plan
    now = side_of_plan("now", prepared, link)
    return ReviewPage(
        title=f"{plan.run.name} on {plan.site.name}",
        heading=heading(plan),
        version=neox.__version__,
        link=link,
        again=" ".join(shell_text(word) for word in command_again(plan.request.argv)),
        figures=tuple((label, lines) for label, lines in figures(plan) if lines),
        limits=_limits(plan),
        limits_source=source_of(plan.site, f"queues.{plan.queue.name}.bins"),
        node=node_figure(plan),
        reserved=print_cores(plan.node_type.reserved) if plan.node_type.reserved else "",
        grid=grid_figure(plan),
        chain=chain_figure(plan),
        memory=memory_figure(plan),
        script=tuple(_groups(script)),
        texts=(
            ("rank.sh", script.rank),
            *((("node.sh", script.node),) if script.node else ()),
            ("run.yml", dump(plan.config)),
        ),
        compared=previous.title if previous else "",
        differences=differences(previous, now) if previous else (),
    )


def _groups(script: Script) -> Iterator[OriginGroup]:
    lines = script.job.removesuffix("\n").split("\n")
    numbered = zip(script.job_origins, enumerate(lines, start=1), strict=True)
    for origin, group in groupby(numbered, key=lambda pair: pair[0]):
        members = [pair[1] for pair in group]
        yield OriginGroup(
            origin=origin, first=members[0][0], lines=tuple(text for _, text in members)
        )


def _limits(plan: Plan) -> tuple[LimitRow, ...]:
    return tuple(
        LimitRow(
            nodes=f"{bin_.low:,}-{bin_.high:,}" if bin_.low < bin_.high else f"{bin_.low:,}",
            time=print_time(bin_.seconds),
            chosen=bin_.low <= plan.nodes <= bin_.high,
        )
        for bin_ in plan.queue.bins
    )
