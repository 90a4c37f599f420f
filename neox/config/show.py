"""`neox config check` and `neox config show`: what a config says, on a login node."""

import argparse
import dataclasses
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from neox.config.derive import origin_of, resolve
from neox.config.given import Given
from neox.config.load import load, missing_files
from neox.config.places import ConfigErrors, Origin
from neox.config.run_config import RunConfig
from neox.config.spec import not_yet
from neox.config.table import groups, table, value_of
from neox.config.vocabulary import with_vocabulary
from neox.config.write import as_yaml
from neox.run.exit_codes import ExitCode

_WIDTH = 80
_NAME = 34  # columns of the names
_VALUE = 22  # columns of the values


def check(given: Given, config: RunConfig) -> list[str]:
    """The warnings, what is not built yet, and a last line that sums up."""
    lines = [f"warning: {warning}" for warning in config.warnings]
    lines += [f"not yet: {line}" for line in not_yet(config)]
    count = sum(1 for name in given.places if "." not in name)
    files = ", ".join(given.texts) or "the command line"
    return [*lines, f"{files}: {count} arguments, no errors"]


def show(config: RunConfig, *, everything: bool = True) -> list[str]:
    """Every value with the file and line, the KEY=VALUE or the rule that it comes from."""
    lines: list[str] = []
    for group, _ in groups():
        body = [
            line
            for entry in table().values()
            if entry.group == group
            for line in _rows(config, entry.name, value_of(config, entry), everything=everything)
        ]
        if body:
            lines += ["", group, *body]
    return lines[1:]


def main(argv: Sequence[str]) -> int:
    """Run `neox config ARGV...`; the exit code is 0, or 2 where the config is wrong."""
    arguments = _parser().parse_args(argv)
    files, overrides = split_words(arguments.words)
    if not files:
        print("neox config: name a config file, e.g. configs/20B.yml", file=sys.stderr)
        return ExitCode.CONFIG
    try:
        given = with_vocabulary(load(files, overrides))
        problems = missing_files(given)
        if problems:
            raise ConfigErrors(problems)
        config = resolve(given, arguments.ranks)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return ExitCode.CONFIG
    if arguments.what == "check":
        print("\n".join(check(given, config)))
    else:
        print("\n".join(show(config, everything=not arguments.given)))
    return ExitCode.DONE


def split_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Config files and KEY=VALUE words apart; a file whose name holds `=` must have a `/`."""
    overrides = [word for word in words if "=" in word and "/" not in word.partition("=")[0]]
    return [Path(word) for word in words if word not in overrides], overrides


def _rows(config: RunConfig, name: str, value: object, *, everything: bool) -> Iterator[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            inner: object = getattr(value, field.name)
            yield from _rows(config, f"{name}.{field.name}", inner, everything=everything)
        return
    origin = origin_of(config, name)
    if everything or origin.kind != "default":
        yield from _row(name, as_yaml(value), origin)


def _row(name: str, value: str, origin: Origin) -> Iterator[str]:
    """Name, value and origin in columns; what does not fit goes on in the next line."""
    start = f"  {name:<{_NAME - 2}}"
    if len(start) > _NAME or start[-1] != " ":
        yield start.rstrip()
        start = " " * _NAME
    if len(value) >= _VALUE:
        yield from _wrapped(start, value)
        start, value = " " * _NAME, ""
    start = f"{start}{value:<{_VALUE}}"
    if max(len(word) for word in origin.text.split()) > _WIDTH - len(start):
        if start.strip():
            yield start.rstrip()
        start = " " * _NAME
    yield from _wrapped(start, origin.text)


def _wrapped(start: str, text: str) -> list[str]:
    room = max(10, _WIDTH - len(start))
    first, *rest = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]
    return [f"{start}{first}".rstrip(), *(f"{'':<{len(start)}}{line}" for line in rest)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox config",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Check a config, or show every value and where it comes from.",
        epilog=textwrap.dedent(
            """\
            Files are merged left to right; KEY=VALUE beats them all, and dots in KEY
            reach into dicts. Nothing is started and no GPU is needed.

              neox config check configs/20B.yml
              neox config show configs/20B.yml train_iters=100 optimizer.params.lr=1e-4
              neox config show --ranks 96 --given configs/20B.yml

            Exit codes: 0 no errors, 2 the config is wrong."""
        ),
    )
    parser.add_argument("what", choices=("check", "show"), help="what to do")
    parser.add_argument(
        "words", nargs="+", metavar="FILE|KEY=VALUE", help="config files and values over them"
    )
    parser.add_argument(
        "--ranks", type=int, metavar="N", help="resolve for a job of N ranks (default: unknown)"
    )
    parser.add_argument("--given", action="store_true", help="show: leave the defaults out")
    return parser
