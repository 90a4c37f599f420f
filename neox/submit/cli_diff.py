"""`neox-submit diff`: two runs, two links of one, or one config on two sites."""

import dataclasses
import re
from pathlib import Path

from neox.content import shelf
from neox.run.exit_codes import ExitCode
from neox.run.paths import RunPaths
from neox.sites.load import load_site
from neox.submit.cli_args import DiffArguments, RunArguments
from neox.submit.cli_output import print_json
from neox.submit.cli_run import request_of
from neox.submit.diff import Side, differences, printed, side_of_plan, side_of_run
from neox.submit.edge import Surroundings
from neox.submit.identify import this_site
from neox.submit.preparing import prepare
from neox.submit.refusal import RunDirectoryError, UsageError


def show_diff(given: DiffArguments, around: Surroundings) -> int:
    """Print what differs; returns the exit code. Finding differences is no failure."""
    before, after = _sides(given, around)
    if given.json:
        found = [dataclasses.asdict(diff) for diff in differences(before, after)]
        print_json({"before": before.title, "after": after.title, "differences": found})
    else:
        print("\n".join(printed(before, after)))
    return ExitCode.DONE


def _sides(given: DiffArguments, around: Surroundings) -> tuple[Side, Side]:
    if given.plan is not None:
        assert given.against is not None, "a plan is compared with that of another site"
        first = given.plan.site or this_site(around)
        before = _on_site(given.plan, first, given.plan.account, around)
        return before, _on_site(given.plan, given.against, given.against_account, around)
    folders = [_found(name, given.output, around) for name in given.runs]
    first_run, second_run = folders if len(folders) == 2 else _last_two(folders[0])
    return side_of_run(first_run), side_of_run(second_run)


def _on_site(plan: RunArguments, site: str, account: str | None, around: Surroundings) -> Side:
    """The plan there. Nothing is submitted, so an account that was not given may be an example."""
    rules = load_site(site, shelf("sites", environ=around.environ, cwd=around.cwd)).account
    account = account or (rules.example if rules.required else None)
    given = dataclasses.replace(plan, site=site, account=account)
    request = request_of(given, ("neox-submit", "diff", "--site", site), around)
    return side_of_plan(site, prepare(request, around))


def _found(name: str, output: Path | None, around: Surroundings) -> RunPaths:
    """A run or link directory: a path, or a name in ./runs or in -o DIR."""
    typed = Path(name).expanduser()
    runs = around.cwd / (output.expanduser() if output else "runs")
    places = [around.cwd / typed, runs / typed]
    for place in places:
        if (place / "plan.json").is_file():
            return RunPaths(place.resolve())
    raise RunDirectoryError(
        f"{name}: neither a run nor a link of one (no plan.json in "
        f"{' or '.join(map(str, places))}); give runs/NAME or runs/NAME/links/2"
    )


def _last_two(run: RunPaths) -> tuple[RunPaths, RunPaths]:
    """The newest two versions of a run: its links, and what lies ready for the next."""
    numbers = sorted(int(p.name) for p in run.root.glob("links/*") if re.fullmatch(r"\d+", p.name))
    if not numbers:
        raise UsageError(
            f"{run.root}: no link of it was submitted, so there is one version only; "
            "name the run to compare with: neox-submit diff RUN OTHER"
        )
    versions = [*map(run.link, numbers), run]
    return versions[-2], versions[-1]
