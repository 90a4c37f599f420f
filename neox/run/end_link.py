"""`neox end-link RUN --link N --job JOBID --code CODE`: what job.sh exits with, and why.

Standard library only: it may run on a launch node without the engine. The rules are those of
docs/how-a-job-ends.md:

    state/done                        0
    state/failed.JOBID                its code
    state/saved.JOBID and launcher 0  85
    launcher 0 and neither            1: the ranks are gone without a word
    launcher's own code               75: it may be the machine

The node that failed.JOBID names, where it names one, goes to state/bad_nodes.
A link that cannot be helped by another writes `state/halt`, and so do two in a row that moved no
checkpoint.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neox.run.bad_nodes import add_bad_node, read_bad_nodes
from neox.run.exit_codes import HALTING, MEANING, ExitCode
from neox.run.paths import RunPaths, newest_step
from neox.run.stop import write_aside

LINKS_WITHOUT_PROGRESS = 2


@dataclass(frozen=True, kw_only=True)
class LinkEnd:
    """One line of `state/links.jsonl`."""

    link: int
    job: str
    code: int
    reason: str
    checkpoint: int | None  # step of the newest checkpoint when the link ended
    moved: bool  # is it newer than when the link before ended?
    halted: bool  # did this link end the chain?
    time: float

    def to_json(self) -> str:
        return json.dumps(vars(self))


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    paths = RunPaths(Path(arguments.run).absolute())
    if not paths.root.is_dir():
        print(f"neox end-link: {paths.root} is no run directory", file=sys.stderr)
        return ExitCode.REFUSED
    try:
        return end_link(paths, link=arguments.link, job_id=arguments.job, launcher=arguments.code)
    except OSError as error:
        print(f"neox end-link: cannot write to {paths.state}: {error.strerror}", file=sys.stderr)
        return ExitCode.REFUSED


def end_link(paths: RunPaths, *, link: int, job_id: str, launcher: int) -> int:
    """The job's code; on record in `links.jsonl`, and `halt` written where the rules say so."""
    code, reason = verdict(paths, job_id, launcher)
    earlier = read_links(paths.links_log)
    checkpoint = newest_checkpoint(paths)
    before = earlier[-1].checkpoint if earlier else None
    moved = checkpoint is not None and checkpoint > (-1 if before is None else before)
    halt = why_halt(code, reason, [*(one.moved for one in _since_halt(earlier)), moved])
    end = LinkEnd(
        link=link,
        job=job_id,
        code=code,
        reason=reason,
        checkpoint=checkpoint,
        moved=moved,
        halted=halt is not None,
        time=round(time.time(), 3),
    )
    paths.state.mkdir(parents=True, exist_ok=True)
    _note_bad_node(paths, job_id, code)
    with paths.links_log.open("a", encoding="utf-8") as file:
        file.write(end.to_json() + "\n")
    if halt is not None:
        write_aside(paths.halt, halt + "\n")
    print(f"link {link} (job {job_id}) ends with {code}: {reason}" + (f"; {halt}" if halt else ""))
    return code


def verdict(paths: RunPaths, job_id: str, launcher: int) -> tuple[int, str]:
    if paths.done.exists():
        return ExitCode.DONE, MEANING[ExitCode.DONE]
    failed = paths.failed(job_id)
    if failed.exists():
        return _failure(failed)
    if launcher == 0 and paths.saved(job_id).exists():
        return ExitCode.SAVED_NOT_FINISHED, MEANING[ExitCode.SAVED_NOT_FINISHED]
    if launcher == 0:
        return ExitCode.BUG, "the ranks ended without a save and without finishing the run"
    if launcher in MEANING:
        return launcher, MEANING[ExitCode(launcher)]
    return ExitCode.NODE_FAULT, f"the launcher ended with {launcher}; {MEANING[ExitCode(75)]}"


def _failure(path: Path) -> tuple[int, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return int(told["code"]), f"rank {told['rank']}: {told['reason']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ExitCode.BUG, f"{path.name} cannot be read"


def _note_bad_node(paths: RunPaths, job_id: str, code: int) -> None:
    """The node of the rank that failed first, where it said that its own node is at fault."""
    if code != ExitCode.NODE_FAULT or not paths.failed(job_id).exists():
        return
    try:
        told = json.loads(paths.failed(job_id).read_text(encoding="utf-8"))
        node, reason = str(told["node"]), str(told["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if node not in read_bad_nodes(paths.bad_nodes):
        add_bad_node(paths.bad_nodes, node, f"{reason} (job {job_id})")


def why_halt(code: int, reason: str, moved: Sequence[bool]) -> str | None:
    """Why no next link should start; None where one may. `moved`: of the links so far, in order."""
    if code in HALTING:
        return f"no further link: code {code}, {reason}"
    row = moved[-LINKS_WITHOUT_PROGRESS:]
    if code != ExitCode.DONE and len(row) == LINKS_WITHOUT_PROGRESS and not any(row):
        return f"no further link: {len(row)} in a row moved no checkpoint"
    return None


def _since_halt(ends: Sequence[LinkEnd]) -> Sequence[LinkEnd]:
    """Who submits a halted run again has mended something: the count begins anew."""
    last = max((number for number, end in enumerate(ends, start=1) if end.halted), default=0)
    return ends[last:]


def read_links(path: Path) -> list[LinkEnd]:
    """The ends of earlier links; a line that was cut short is left out."""
    if not path.exists():
        return []
    ends = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            ends.append(LinkEnd(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return ends


def newest_checkpoint(paths: RunPaths) -> int | None:
    """Step of the newest published checkpoint, from where the run said it saves."""
    return newest_step(checkpoint_folder(paths))


def checkpoint_folder(paths: RunPaths) -> Path:
    """`save` of run.yml where it is given. A line is enough: this must not need a YAML reader."""
    try:
        text = paths.run_config.read_text(encoding="utf-8")
    except OSError:
        return paths.checkpoints
    match = re.search(
        r"""^["']?save["']?:\s*(["']?)(/[^"'#\n]*?)\1\s*(?:#.*)?$""", text, re.MULTILINE
    )
    return Path(match[2]) if match else paths.checkpoints


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox end-link", description="How a link of a run ended. job.sh calls it at its end."
    )
    parser.add_argument("run", help="the run directory")
    parser.add_argument("--link", type=int, required=True, help="number of the link")
    parser.add_argument("--job", required=True, help="the scheduler's job id")
    parser.add_argument("--code", type=int, required=True, help="what the launcher ended with")
    return parser
