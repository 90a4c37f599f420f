"""Where each line of job.sh comes from: profile file and line, job kind, flag or rule."""

from collections.abc import Iterator
from itertools import groupby

from neox.submit.plan import Plan
from neox.submit.render import Script

NUMBER_WIDTH = 4


def explain(plan: Plan, script: Script) -> tuple[str, ...]:
    """Text lines: an origin, and below it the lines of job.sh that it put there, with numbers."""
    return tuple(_lines(plan, script))


def _lines(plan: Plan, script: Script) -> Iterator[str]:
    lines = script.job.removesuffix("\n").split("\n")
    assert len(lines) == len(script.job_origins), "every line has an origin"
    yield f"{plan.run.job_script}: {len(lines)} lines, for {plan.site.title}"
    numbered = zip(script.job_origins, enumerate(lines, start=1), strict=True)
    for origin, group in groupby(numbered, key=lambda pair: pair[0]):
        yield ""
        yield f"-- {origin}"
        for _, (number, text) in group:
            yield f"{number:{NUMBER_WIDTH}}  {text}".rstrip()
