"""`neox-submit sites list | show NAME | check NAME...`: what the shelf holds, for people."""

import argparse
import datetime
import sys
import textwrap
from collections.abc import Sequence

from neox.content import Entry, NotOnShelf, Shelf, shelf_here
from neox.run.exit_codes import ExitCode
from neox.sites.evidence import check_site, evidence, questions
from neox.sites.load import load_site
from neox.sites.problems import ProfileErrors
from neox.sites.profile import Caps, NodeType, Profile, Queue
from neox.sites.times import print_time

WIDTH = 80
LABEL = 11


def main(argv: Sequence[str]) -> int:
    """0, or 2 for an unknown or broken profile, or one whose numbers lack evidence."""
    arguments = _parser().parse_args(argv)
    shelf = shelf_here("sites")
    if arguments.verb == "list":
        print("\n".join(list_sites(shelf)))
        return ExitCode.DONE
    if arguments.verb == "show":
        return _show(shelf, arguments.name)
    return _check(shelf, arguments.names or [entry.name for entry in shelf.entries()])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neox-submit sites", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="the sites there are, and what shadows what")
    show = verbs.add_parser("show", help="one site: queues, nodes, launcher, questions")
    show.add_argument("name", metavar="NAME", help="a site, or a path that ends in .toml")
    check = verbs.add_parser("check", help="types, contradictions, numbers without evidence")
    check.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    return parser


def _show(shelf: Shelf, name: str) -> int:
    try:
        print("\n".join(show_site(load_site(name, shelf))))
    except (NotOnShelf, ProfileErrors) as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    return ExitCode.DONE


def _check(shelf: Shelf, names: Sequence[str]) -> int:
    today = datetime.date.today()
    code = ExitCode.DONE
    for name in names:
        try:
            profile = load_site(name, shelf)
        except (NotOnShelf, ProfileErrors) as error:
            print(error, file=sys.stderr)
            code = ExitCode.CONFIG
            continue
        print("\n".join(check_site(profile, today)))
        if evidence(profile, today).without:
            code = ExitCode.CONFIG
    return code


def list_sites(shelf: Shelf) -> tuple[str, ...]:
    """Name, status and title; the files that are a person's own, and what they shadow."""
    entries = shelf.entries()
    width = max(len(entry.name) for entry in entries)
    return tuple(line for entry in entries for line in _listed(shelf, entry, width))


def _listed(shelf: Shelf, entry: Entry, width: int) -> list[str]:
    try:
        profile = load_site(entry.name, shelf)
    except ProfileErrors as error:
        status, title = "broken", f"{len(error.problems)} problems: sites check {entry.name}"
    else:
        status, title = profile.status, profile.title
    own = not entry.path.is_relative_to(shelf.folders[-1])
    files = [shelf.show(entry.path)] if own else []
    files += [f"shadows {shelf.show(path)}" for path in entry.shadows]
    lines = [f"{entry.name:<{width}}  {status:<10}  {title}"]
    return [*lines, *(f"{'':<{width}}  {file}" for file in files)]


def show_site(profile: Profile) -> tuple[str, ...]:
    """The profile as one reads it aloud, at most 80 columns wide."""
    lines = [f"{profile.name}: {profile.title} ({profile.status})"]
    lines += _cells("file", " <- ".join(profile.files))
    if not profile.policy.submit:
        lines += _cells("retired", f"since {profile.policy.since}: {profile.policy.reason}")
    if profile.account.required:
        lines += _cells("account", f"required, such as {profile.account.example}")
    lines += _cells("scheduler", _scheduler(profile))
    for queue in profile.queues:
        lines += _cells("queue", *_queue(queue))
    for node in profile.node_types:
        lines += _cells("node", _node(node))
    lines += _cells("ranks", _launcher(profile))
    lines += _cells("modules", " ".join(profile.modules.load))
    lines += _cells("python", f"{profile.python.kind} {profile.python.path or ''}".rstrip())
    if profile.container.image:
        lines += _cells("container", f"{profile.container.kind} {profile.container.image}")
    lines += _cells("storage", *(f"{name}: {a.path}" for name, a in profile.storage.items()))
    lines += _cells("cost", f"{profile.cost.per_node_hour:g} {profile.cost.unit} a node and hour")
    return (*lines, *_cells("asks", *questions(profile)))


def _scheduler(profile: Profile) -> str:
    signal = "warns by itself" if profile.signal.how == "scheduler" else "the script has a timer"
    return f"{profile.scheduler.kind} {profile.scheduler.version or ''}".rstrip() + f", {signal}"


def _queue(queue: Queue) -> list[str]:
    default = ", the default" if queue.default else ""
    chain = "" if queue.chain else ", no chains"
    lines = [f"{queue.name}{default}: {print_time(queue.default_seconds)} unless asked{chain}"]
    for part in queue.bins:
        lines.append(f"  {part.low}-{part.high} nodes: at most {print_time(part.seconds)}")
    for scope, caps in (("job", queue.per_job), ("user", queue.per_user), ("all", queue.total)):
        if limits := _caps(caps):
            lines.append(f"  per {scope}: {limits}")
    return lines


def _caps(caps: Caps) -> str:
    limits = (("queued", caps.queued), ("eligible", caps.eligible), ("running", caps.running))
    named = (*limits, ("in any state", caps.any))
    return ", ".join(f"{number} {word}" for word, number in named if number is not None)


def _node(node: NodeType) -> str:
    if node.anatomy == "this-machine":
        return f"{node.name}: like this machine"
    kept = f" less {len(node.reserved)}" if node.reserved else ""
    memory = f", {node.memory_gb:g} GB" if node.memory_gb else ""
    gpus = f", {node.gpus} x {node.gpu.kind} ({node.gpu.memory_gb:g} GB)" if node.gpu else ""
    return f"{node.name}: {node.cores}{kept} cores{memory}{gpus}"


def _launcher(profile: Profile) -> str:
    launcher = profile.launcher
    sees = "its own GPU" if launcher.gpu_visibility == "one" else "every GPU"
    seen = f", a rank sees {sees}" if any(node.gpu for node in profile.node_types) else ""
    return f"{launcher.kind}, binding {launcher.binding}{seen}"


def _cells(label: str, *texts: str) -> list[str]:
    """Lines under a label of fixed width, wrapped at 80 columns; none where there is no text."""
    lines: list[str] = []
    for text in filter(None, texts):
        indent = " " * (LABEL + 1 + len(text) - len(text.lstrip()))
        first = f"{'' if lines else label:<{LABEL}} {text}"
        lines += textwrap.wrap(
            first, WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True
        )
    return lines
