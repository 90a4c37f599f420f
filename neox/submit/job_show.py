"""`neox-submit jobs list | show NAME`: the kinds of job there are, for people."""

import argparse
import sys
import textwrap
from collections.abc import Sequence

from neox.content import NotOnShelf, Shelf, shelf_here
from neox.run.exit_codes import ExitCode
from neox.sites.problems import JobKindErrors
from neox.sites.times import print_time
from neox.submit.job_kind import JobKind
from neox.submit.jobs import load_job

WIDTH = 80
LABELS, NAMES = 13, 15  # columns in front of the text


def main(argv: Sequence[str]) -> int:
    """0, or 2 for an unknown or broken job kind."""
    parser = argparse.ArgumentParser(prog="neox-submit jobs", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="the kinds there are, and what shadows what")
    show = verbs.add_parser("show", help="one kind")
    show.add_argument("name", metavar="NAME", help="a kind, or a path that ends in .toml")
    arguments = parser.parse_args(argv)
    shelf = shelf_here("jobs")
    try:
        lines = list_jobs(shelf) if arguments.verb == "list" else show_job(arguments.name, shelf)
    except (NotOnShelf, JobKindErrors) as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    print("\n".join(lines))
    return ExitCode.DONE


def list_jobs(shelf: Shelf) -> tuple[str, ...]:
    """Name and title of each kind; broken ones and shadowed files are named."""
    lines: list[str] = []
    for entry in shelf.entries():
        try:
            title = load_job(entry.name, shelf).title
        except JobKindErrors as error:
            title = f"broken: {error.problems[0]}"
        lines += _cell(entry.name, title, NAMES)
        for path in entry.shadows:
            lines += _cell("", f"{shelf.show(entry.path)} shadows {shelf.show(path)}", NAMES)
    return tuple(lines)


def show_job(name: str, shelf: Shelf) -> tuple[str, ...]:
    """A kind as one reads it aloud. Raises NotOnShelf and JobKindErrors."""
    job = load_job(name, shelf)
    time = print_time(job.seconds) if job.seconds else "the queue's default"
    lines = [f"{job.name}: {job.title}", *_cell("file", " <- ".join(job.files))]
    lines += _cell("runs", f"neox {' '.join(job.entry)}")
    lines += _cell("ranks", job.ranks)
    lines += _cell("needs", _needs(job))
    lines += _cell("config", ", ".join(f"{key} = {value}" for key, value in job.config.items()))
    lines += _cell("time", time + ("" if job.chain else ", one link only"))
    lines += _cell("stop", "saves when asked to" if job.signal else "has nothing to save")
    lines += _cell("profile", job.profile or "")
    return (*lines, *_cell("outputs", ", ".join(job.outputs)))


def _needs(job: JobKind) -> str:
    needs = (
        ("GPUs", job.needs.gpus),
        ("data", job.needs.data),
        ("a checkpoint", job.needs.checkpoint),
        ("a compiler", job.needs.compiler),
        ("NVIDIA's libraries", job.needs.cuda),
    )
    return ", ".join(name for name, needed in needs if needed) or "nothing"


def _cell(label: str, text: str, width: int = LABELS) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        f"{label:<{width}} {text}",
        WIDTH,
        subsequent_indent=" " * (width + 1),
        break_on_hyphens=False,
    )
