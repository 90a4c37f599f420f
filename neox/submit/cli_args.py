"""The command line, typed once. Everything behind it works on these dataclasses."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, get_args

from neox.secret_names import names_a_secret
from neox.submit.refusal import UsageError
from neox.submit.request import ProfileRanks, ProfileTool

VERBS = ("submit", "chain", "status", "logs", "stop", "cancel", "explain")
RAW = ("--launch-arg", "--directive")  # their value may begin with a dash


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """neox-submit --site SITE ... CONFIG... [KEY=VALUE ...]"""

    site: str | None
    job: str
    configs: tuple[Path, ...]
    overrides: tuple[str, ...]
    nodes: int | None
    spare_nodes: int
    time: str | None
    queue: str | None
    account: str | None
    name: str | None
    output: Path | None
    chain: int | Literal["auto"] | None
    seconds_per_step: float | None  # for --chain auto
    dependencies: tuple[str, ...]
    python: str | None
    directives: tuple[str, ...]
    launch_args: tuple[str, ...]
    profile: ProfileTool | None
    profile_ranks: ProfileRanks | None
    profile_steps: tuple[int, int] | None
    sweep: tuple[str, ...]  # KEY=V1,V2
    sweep_zip: bool
    array: bool  # one submission for all runs of a sweep
    print_only: bool
    dry_run: bool
    yes: bool
    up_to: float | None  # node-hours agreed to without a second question
    here: bool
    existing: Literal["refuse", "continue", "fresh"]
    json: bool


@dataclass(frozen=True, kw_only=True)
class VerbArguments:
    """neox-submit VERB RUN ..."""

    verb: str
    run: str | None
    output: Path | None
    chain: int | None
    rank: int | None
    follow: bool
    accept_edited: bool
    up_to: float | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class DiffArguments:
    """neox-submit diff A [B], or diff --site A --against B CONFIG..."""

    runs: tuple[str, ...]
    output: Path | None
    plan: RunArguments | None  # for two sites; then there are no runs
    against: str | None
    against_account: str | None
    json: bool


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: one line that says what to type."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see neox-submit --help")


def parse_run(argv: Sequence[str]) -> RunArguments:
    """Raises UsageError."""
    parser = _Parser(prog="neox-submit", add_help=False, allow_abbrev=False)
    for name in ("--site", "--time", "--queue", "--account", "--name", "--python"):
        parser.add_argument(name)
    parser.add_argument("--job", default="train")
    parser.add_argument("--nodes", type=_count)
    parser.add_argument("--spare-nodes", type=_count, default=0)
    parser.add_argument("--chain", type=_count_or_auto)
    parser.add_argument("--seconds-per-step", type=_seconds)
    parser.add_argument("--dependency", type=_job_ids, action="extend", default=[])
    parser.add_argument("--up-to", type=_node_hours)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("-d", "--config-dir", type=Path, default=Path())
    for name in RAW:
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--profile", choices=get_args(ProfileTool))
    parser.add_argument("--profile-ranks", type=_profile_ranks)
    parser.add_argument("--profile-steps", type=_profile_steps)
    parser.add_argument("--sweep", action="append", default=[])
    for name in ("--sweep-zip", "--array"):
        parser.add_argument(name, action="store_true")
    for name in ("--print", "--dry-run", "--yes", "--here", "--continue", "--fresh", "--json"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("words", nargs="*")
    given, unknown = parser.parse_known_intermixed_args(_joined(argv))
    _refuse_unknown(parser, unknown)
    arguments = vars(given)
    words: list[str] = arguments["words"]
    _refuse_secrets(words)
    return RunArguments(
        site=arguments["site"],
        job=arguments["job"],
        configs=tuple(arguments["config_dir"] / w for w in words if not _is_override(w)),
        overrides=tuple(w for w in words if _is_override(w)),
        nodes=arguments["nodes"],
        spare_nodes=arguments["spare_nodes"],
        time=arguments["time"],
        queue=arguments["queue"],
        account=arguments["account"],
        name=arguments["name"],
        output=arguments["output"],
        chain=arguments["chain"],
        seconds_per_step=arguments["seconds_per_step"],
        dependencies=tuple(arguments["dependency"]),
        python=arguments["python"],
        directives=tuple(arguments["directive"]),
        launch_args=tuple(arguments["launch_arg"]),
        profile=arguments["profile"],
        profile_ranks=arguments["profile_ranks"],
        profile_steps=arguments["profile_steps"],
        sweep=tuple(arguments["sweep"]),
        sweep_zip=arguments["sweep_zip"],
        array=arguments["array"],
        print_only=arguments["print"],
        dry_run=arguments["dry_run"],
        yes=arguments["yes"],
        up_to=arguments["up_to"],
        here=arguments["here"],
        existing=_existing(arguments["continue"], arguments["fresh"]),
        json=arguments["json"],
    )


def parse_verb(verb: str, argv: Sequence[str]) -> VerbArguments:
    """Raises UsageError."""
    parser = _Parser(prog=f"neox-submit {verb}", add_help=False, allow_abbrev=False)
    parser.add_argument("run", nargs="?")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", action="store_true")
    if verb in ("submit", "chain"):
        parser.add_argument("--chain", type=_count)
        parser.add_argument("--accept-edited", action="store_true")
        parser.add_argument("--up-to", type=_node_hours)
    if verb == "logs":
        parser.add_argument("--rank", type=_rank)
        parser.add_argument("--follow", "-f", action="store_true")
    given, unknown = parser.parse_known_intermixed_args(list(argv))
    _refuse_unknown(parser, unknown)
    absent = {"chain": None, "accept_edited": False, "up_to": None, "rank": None, "follow": False}
    arguments = absent | vars(given)
    if arguments["run"] is None and verb != "status":
        raise UsageError(f"{verb} which run? neox-submit {verb} RUN, the folder runs/NAME")
    return VerbArguments(
        verb=verb,
        run=arguments["run"],
        output=arguments["output"],
        chain=arguments["chain"],
        rank=arguments["rank"],
        follow=arguments["follow"],
        accept_edited=arguments["accept_edited"],
        up_to=arguments["up_to"],
        json=arguments["json"],
    )


def parse_diff(argv: Sequence[str]) -> DiffArguments:
    """Raises UsageError."""
    parser = _Parser(prog="neox-submit diff", add_help=False, allow_abbrev=False)
    parser.add_argument("--against")
    parser.add_argument("--against-account")
    found, rest = parser.parse_known_args(list(argv))
    against: str | None = vars(found)["against"]
    account: str | None = vars(found)["against_account"]
    if against is not None:
        plan = parse_run(rest)
        if not plan.configs:
            raise UsageError("diff of which config? diff --site A --against B CONFIG...")
        return DiffArguments(
            runs=(),
            output=None,
            plan=plan,
            against=against,
            against_account=account,
            json=plan.json,
        )
    parser.add_argument("runs", nargs="*")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", action="store_true")
    given, unknown = parser.parse_known_intermixed_args(rest)
    _refuse_unknown(parser, unknown)
    runs: list[str] = vars(given)["runs"]
    if not 1 <= len(runs) <= 2:
        raise UsageError(
            "diff of what? neox-submit diff A B (runs or links), diff RUN (its last two links), "
            "or diff --site A --against B CONFIG..."
        )
    return DiffArguments(
        runs=tuple(runs),
        output=vars(given)["output"],
        plan=None,
        against=None,
        against_account=None,
        json=vars(given)["json"],
    )


def parse_doctor(argv: Sequence[str]) -> str | None:
    """The site that the doctor looks at. Raises UsageError."""
    parser = _Parser(prog="neox-submit doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("--site")
    given, unknown = parser.parse_known_args(list(argv))
    _refuse_unknown(parser, unknown)
    site: str | None = vars(given)["site"]
    return site


def _is_override(word: str) -> bool:
    """KEY=VALUE; a file whose name holds "=" is written with a folder before it: ./a=b.yml"""
    return "=" in word and "/" not in word.partition("=")[0]


def _refuse_secrets(words: Sequence[str]) -> None:
    """The command line stands in every script's header."""
    for key in (word.partition("=")[0] for word in words if _is_override(word)):
        if names_a_secret(key):
            raise UsageError(
                f"{key}=...: a secret has no place on a command line, which scripts and plan.json "
                "keep and others can see; export it as an environment variable"
            )


def _joined(argv: Sequence[str]) -> list[str]:
    """`--launch-arg --mca` as one word, because argparse takes --mca for an option of ours."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in RAW:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _refuse_unknown(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> None:
    if not unknown:
        return
    word = unknown[0].partition("=")[0]
    if not word.startswith("-"):
        raise UsageError(f"{word!r} is one word too many; see neox-submit --help")
    names = [name for action in parser._actions for name in action.option_strings]
    close = difflib.get_close_matches(word, names, n=1)
    meant = f"did you mean {close[0]}?" if close else "see neox-submit --help"
    raise UsageError(f"unknown option {word}; {meant}")


def _existing(goes_on: bool, fresh: bool) -> Literal["refuse", "continue", "fresh"]:
    if goes_on and fresh:
        raise UsageError("--continue goes on with a run, --fresh starts another: give one of them")
    return "continue" if goes_on else "fresh" if fresh else "refuse"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _count_or_auto(text: str) -> int | Literal["auto"]:
    return "auto" if text == "auto" else _count(text)


def _job_ids(text: str) -> list[str]:
    ids = text.split(",")
    if not all(ids):
        raise argparse.ArgumentTypeError(f"{text!r} is not JOBID or JOBID,JOBID")
    return ids


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _node_hours(text: str) -> float:
    plain = text.replace(",", "")
    if not plain.isdecimal() or int(plain) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of node-hours")
    return float(plain)


def _profile_ranks(text: str) -> ProfileRanks:
    if text == "one-per-node":
        return ProfileRanks(which="one-per-node", named=())
    if text == "all":
        return ProfileRanks(which="all", named=())
    words = text.split(",")
    if not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no ranks: 0,8 or one-per-node or all are what can be said"
        )
    return ProfileRanks(named=tuple(sorted({int(word) for word in words})))


def _profile_steps(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not (first.isdecimal() and (last if colon else first).isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:LAST, as in 10:12")
    steps = int(first), int(last if colon else first)
    if not 1 <= steps[0] <= steps[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: steps count from 1, the first before the last")
    return steps


def _rank(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a rank (0, 1, ...)")
    return int(text)
