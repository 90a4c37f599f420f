"""`neox-submit status`: one paragraph a run, from the scheduler and from the run's own files."""

import re
from collections import Counter
from dataclasses import asdict

from neox.run.bad_nodes import read_bad_nodes
from neox.run.exit_codes import MEANING, ExitCode
from neox.run.paths import RunPaths
from neox.submit.cli_output import ago, columns, print_json
from neox.submit.manifest import Manifest, read_manifest
from neox.submit.progress import Progress, link_codes, progress
from neox.submit.runner import Runner
from neox.submit.track import LinkStatus, link_states

_LABEL = re.compile(r"[:(,]")  # ends a state's first words: "halted: by ..."


def show_status(
    runs: tuple[RunPaths, ...], runner: Runner, *, as_json: bool, as_table: bool = False
) -> int:
    """Print what is known; a scheduler that is silent is part of the answer, not an error."""
    found = [_look(run, runner) for run in runs]
    if as_json:
        print_json({"runs": found})
        return ExitCode.DONE
    if as_table:
        print("\n".join(_table(runs, runner)))
        return ExitCode.DONE
    for number, run in enumerate(runs):
        lines = status_lines(run, runner)
        print("\n".join(([""] if number else []) + lines))
    return ExitCode.DONE


def status_lines(run: RunPaths, runner: Runner) -> list[str]:
    manifest, now = read_manifest(run), progress(run)
    links = link_states(run, runner, manifest.site.scheduler.kind)
    codes = link_codes(run)
    lines = [f"{run.name} on {manifest.site.name}: {overall(links, now)}", f"  run    {run.root}"]
    lines += [_step_line(manifest, now)] if now.step is not None else []
    if now.heartbeat_seconds is not None and any(link.state == "running" for link in links):
        lines.append(f"  alive  last sign of life {ago(now.heartbeat_seconds)} ago")
    if now.last_event is not None:
        lines.append(f"  event  {now.last_event}")
    lines += [_link_line(link, codes) for link in links]
    bad = read_bad_nodes(run.bad_nodes)
    lines += [f"  bad    {node}: {reason}" for node, reason in bad.items()]
    if bad:
        lines.append(
            f"         no link gets them; to forgive one, delete its line in {run.bad_nodes}"
        )
    return lines


def _table(runs: tuple[RunPaths, ...], runner: Runner) -> list[str]:
    """One line a run: for a sweep, which is compared; the last counts them by their state."""
    rows = [("run", "job", "step", "loss", "state")]
    states: Counter[str] = Counter()
    for run in runs:
        manifest, now = read_manifest(run), progress(run)
        links = link_states(run, runner, manifest.site.scheduler.kind)
        job = links[-1].job_id if links else "-"
        step = f"{now.step:,}" if now.step is not None else "-"
        loss = f"{now.loss:.4f}" if now.loss is not None else "-"
        state = overall(links, now)
        states[_LABEL.split(state, maxsplit=1)[0].strip()] += 1
        rows.append((run.name, job, step, loss, state))
    counted = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return [*columns(rows), f"{len(runs)} runs: {counted}"]


def overall(links: tuple[LinkStatus, ...], now: Progress) -> str:
    """The run in a word or two."""
    states = [link.state for link in links]
    if not states:
        return "not submitted"
    if "running" in states:
        return "running" if now.ended is None else f"ending ({now.ended})"
    if now.ended is not None:
        return now.ended
    if "pending" in states:
        return "waiting"
    if "unknown" in states:
        return "unknown: the scheduler does not say"
    return "no job waits or runs, and the run is not finished: neox-submit submit RUN goes on"


def _look(run: RunPaths, runner: Runner) -> dict[str, object]:
    manifest, now = read_manifest(run), progress(run)
    links = link_states(run, runner, manifest.site.scheduler.kind)
    codes = link_codes(run)
    return {
        "run": str(run.root),
        "site": manifest.site.name,
        "state": overall(links, now),
        **asdict(now),
        "bad_nodes": read_bad_nodes(run.bad_nodes),
        "links": [asdict(link) | {"code": codes.get(link.link)} for link in links],
    }


def _step_line(manifest: Manifest, now: Progress) -> str:
    total = manifest.summary.get("train_iters")
    of_all = f" of {total:,}" if isinstance(total, int) else ""
    loss = f", loss {now.loss:.4f}" if now.loss is not None else ""
    return f"  step   {now.step:,}{of_all}{loss}"


def _link_line(link: LinkStatus, codes: dict[int, int]) -> str:
    text = link.reason
    if link.state == "ended" and link.link in codes:
        code = codes[link.link]
        text = f"ended with {code}"
        text += f": {MEANING[ExitCode(code)]}" if code in set(ExitCode) else ""
    after = f" (after job {link.after})" if link.after and link.state == "pending" else ""
    return f"  link {link.link:<2} job {link.job_id}  {link.state}: {text}{after}"
