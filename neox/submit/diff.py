"""What differs between two runs, two links of one, or one config on two sites."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neox.submit.files import read

if TYPE_CHECKING:
    from neox.run.paths import RunPaths
    from neox.submit.plan import Plan
    from neox.submit.preparing import Prepared

CONTEXT = 2  # lines around a change
RUN = "RUN"  # stands for either run directory, so that its path is no difference
# a run that exists is planned again from its run.yml, and not from the files that were typed
PINNED = re.compile(r" \(pinned by [^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: its texts by name, what a person reads first in front."""

    title: str
    texts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TextDiff:
    """One text that differs, as unified lines without their heads."""

    name: str
    lines: tuple[str, ...]


def side_of_run(run: "RunPaths") -> Side:
    """A run or link directory as it lies there, edits included. Raises RunDirectoryError."""
    from neox.submit.run_files import REVIEWED, prepare_again  # noqa: PLC0415

    plan = prepare_again(run).plan
    texts = {"plan": _plan_text(plan)}
    texts |= {name: read(run.root / name) for name in REVIEWED if (run.root / name).exists()}
    return _side(str(run.root), texts, str(plan.run.root))


def side_of_plan(title: str, prepared: "Prepared", link: int = 1) -> Side:
    """What would be written for a plan."""
    from neox.submit.run_files import REVIEWED, files_of  # noqa: PLC0415

    files = files_of(prepared, link)
    texts = {"plan": _plan_text(prepared.plan)}
    texts |= {name: files[name].text for name in REVIEWED if name in files}
    return _side(title, texts, str(prepared.plan.run.root))


def differences(before: Side, after: Side) -> tuple[TextDiff, ...]:
    """The texts that differ, each as a unified diff; empty where nothing does."""
    names = [*before.texts, *(name for name in after.texts if name not in before.texts)]
    found = (TextDiff(name=name, lines=_unified(before, after, name)) for name in names)
    return tuple(diff for diff in found if diff.lines)


def printed(before: Side, after: Side) -> Iterator[str]:
    """The lines that `neox-submit diff` prints; `patch` and editors read them too."""
    found = differences(before, after)
    if not found:
        yield f"{before.title} and {after.title}: the same plan, scripts and config"
    for diff in found:
        yield f"--- {before.title}: {diff.name}"
        yield f"+++ {after.title}: {diff.name}"
        yield from diff.lines
        yield ""


def _plan_text(plan: "Plan") -> str:
    """The review's figures, a line each and not wrapped, and where the ranks of a node run."""
    from neox.submit.drawing import place_text  # noqa: PLC0415
    from neox.submit.review import figures  # noqa: PLC0415

    lines = [f"site: {plan.site.title}"]
    lines += [
        f"{label}: {PINNED.sub('', text)}" for label, texts in figures(plan) for text in texts
    ]
    lines += [place_text(plan, place) for place in plan.layout]
    return "\n".join(lines) + "\n"


def _side(title: str, texts: Mapping[str, str], root: str) -> Side:
    return Side(title=title, texts={name: text.replace(root, RUN) for name, text in texts.items()})


def _unified(before: Side, after: Side, name: str) -> tuple[str, ...]:
    old, new = (({name: ""} | dict(side.texts))[name] for side in (before, after))
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=CONTEXT, lineterm="")
    return tuple(lines)[2:]
