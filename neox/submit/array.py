"""One submission for all runs of a sweep: an array of jobs, each element one run.

The array's script chooses the run by its index and becomes that run's own job.sh, which stays what
was reviewed. The first links go this way; a later one is a job of its own: `neox-submit chain RUN`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import neox
from neox.submit.plan import Directive, Plan
from neox.submit.quoting import Shell, check_text
from neox.submit.refusal import UsageError
from neox.submit.schedulers import scheduler
from neox.submit.schedulers.scheduler import Arrays

SCRIPT_NAME = "array.sh"


@dataclass(frozen=True, kw_only=True)
class ArrayPage:
    headline: str
    version: str
    prefix: Shell
    directives: tuple[Directive, ...]
    index_variable: Shell
    element: Shell
    runs: tuple[Path, ...]


def array_script(folder: Path, plans: Sequence[Plan]) -> str:
    """The script of the array, its runs in the order given.

    Raises UsageError where these runs cannot be one array.
    """
    from neox.submit.render import render_array  # noqa: PLC0415

    first = plans[0]
    dialect = scheduler(first.site.scheduler.kind)
    if not isinstance(dialect, Arrays):
        raise UsageError(
            f"--array: {first.site.name} ({first.site.scheduler.kind}) is given each run as a job "
            "of its own; leave --array out"
        )
    if any(plan.chain_wanted > 1 or plan.waits_for for plan in plans):
        raise UsageError(
            "--array: an element of an array is one link and waits for nobody; leave --chain and "
            "--dependency out, and add links to a run later: neox-submit chain RUN"
        )
    headers = [dialect.array_directives(plan.directives, folder.name, folder) for plan in plans]
    other = next((header for header in headers if _texts(header) != _texts(headers[0])), None)
    if other is not None:
        differing = sorted(set(_texts(other)) ^ set(_texts(headers[0])))
        raise UsageError(
            f"--array: the runs ask the scheduler for different things ({', '.join(differing)}); "
            "leave --array out"
        )
    page = ArrayPage(
        headline=f"{folder.name}: {len(plans)} runs on {first.site.title}, one array of jobs",
        version=neox.__version__,
        prefix=Shell(dialect.prefix),
        directives=headers[0],
        index_variable=Shell(dialect.index_variable),
        element=Shell(dialect.element),
        runs=tuple(Path(check_text("run directory", str(plan.run.root))) for plan in plans),
    )
    return render_array(first, page)


def _texts(header: tuple[Directive, ...]) -> list[str]:
    return [line.text for line in header]
