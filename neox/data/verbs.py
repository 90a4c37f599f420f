"""How a verb of `neox data` or `neox tokenizer` ends, and the arguments that verbs share."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from neox.data.errors import DataError
from neox.data.tokenizers import LOADERS
from neox.run.exit_codes import INTERRUPTED, ExitCode


def run_verb(name: str, verb: Callable[[], None]) -> int:
    """Exit code of a verb, its errors said in one line each."""
    try:
        verb()
    except DataError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.DATA
    except BrokenPipeError:
        # the reader (head, less) went away: not an error, and nothing is left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {place}{error.strerror or error}", file=sys.stderr)
        return ExitCode.DATA
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return ExitCode.DONE


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tokenizer")
    group.add_argument("--tokenizer", type=Path, metavar="JSON", help="short for HFTokenizer")
    group.add_argument("--tokenizer-type", choices=sorted(LOADERS), default="HFTokenizer")
    group.add_argument(
        "--vocab-file", help="its file, HFGPT2Tokenizer's folder, or an encoding of tiktoken"
    )
    group.add_argument("--merge-file", type=Path, help="of GPT2BPETokenizer")


def tokenizer_named(arguments: argparse.Namespace) -> tuple[str, str | None, str | None]:
    """`tokenizer_type`, `vocab_file` and `merge_file` of parsed arguments."""
    merges = None if arguments.merge_file is None else str(arguments.merge_file)
    if arguments.tokenizer is not None:
        return "HFTokenizer", str(arguments.tokenizer), merges
    return arguments.tokenizer_type, arguments.vocab_file, merges


def whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def positive(text: str) -> int:
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)
