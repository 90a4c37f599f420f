"""`neox config check`, `show` and `migrate`: what a config says, on a login node."""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from neox.config.derive import resolve
from neox.config.load import load, missing_files
from neox.config.places import ConfigErrors
from neox.config.show import check, show
from neox.config.vocabulary import with_vocabulary
from neox.run.exit_codes import ExitCode


def main(argv: Sequence[str]) -> int:
    """Run `neox config ARGV...`; the exit code is 0, or 2 where the config is wrong."""
    arguments = _parser().parse_intermixed_args(argv)
    files, overrides = split_words(arguments.words, arguments.folder)
    if not files:
        print("neox config: name a config file, e.g. configs/20B.yml", file=sys.stderr)
        return ExitCode.CONFIG
    if arguments.what == "migrate":
        from neox.config.migrating import migrate_files  # noqa: PLC0415

        return migrate_files(files, overrides, arguments.output, in_place=arguments.in_place)
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


def split_words(words: Sequence[str], folder: Path | None = None) -> tuple[list[Path], list[str]]:
    """Config files (of `folder`) and KEY=VALUE words; a file with `=` in its name needs a `/`."""
    overrides = [word for word in words if "=" in word and "/" not in word.partition("=")[0]]
    return [(folder or Path()) / word for word in words if word not in overrides], overrides


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox config",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Check a config, show where every value comes from, or renew an old one.",
        epilog=textwrap.dedent(
            """\
            Files are merged left to right; KEY=VALUE beats them all, dots in KEY reach
            into dicts, and KEY=null takes back what a file gave. Nothing is started and
            no GPU is needed.

              neox config check configs/20B.yml
              neox config check -d configs 125M local_setup
              neox config show configs/20B.yml train_iters=100 optimizer.params.lr=1e-4
              neox config show --ranks 96 --given configs/20B.yml
              neox config migrate old.yml -o new.yml

            migrate prints the file as this version wants it: names that changed, lines
            that had no effect commented out, with comments kept. What it changed and why
            goes to stderr.

            Exit codes: 0 no errors, 2 the config is wrong."""
        ),
    )
    parser.add_argument("what", choices=("check", "show", "migrate"), help="what to do")
    parser.add_argument(
        "words", nargs="+", metavar="FILE|KEY=VALUE", help="config files and values over them"
    )
    parser.add_argument(
        "-d", dest="folder", type=Path, metavar="DIR", help="the folder that the files lie in"
    )
    parser.add_argument(
        "--ranks", type=int, metavar="N", help="resolve for a job of N ranks (default: unknown)"
    )
    parser.add_argument("--given", action="store_true", help="show: leave the defaults out")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="NEW", help="migrate: write this file"
    )
    parser.add_argument(
        "--in-place", action="store_true", help="migrate: keep the old file as FILE.old"
    )
    return parser
