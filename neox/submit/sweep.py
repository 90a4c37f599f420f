"""A sweep: one config with several values of some keys, as runs of their own in one folder."""

import itertools
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neox.run.paths import RunPaths
from neox.submit.array import SCRIPT_NAME
from neox.submit.files import PRIVATE, SCRIPT, File, cannot_write, new_folder, write_files
from neox.submit.preparing import Prepared
from neox.submit.record import INSIDE, run_directory_files
from neox.submit.refusal import RunDirectoryError, UsageError

MOST_RUNS = 256
_PLAIN = re.compile(r"[A-Za-z0-9._+=-]{1,80}")
_OPEN, _CLOSE = "[{(", "]})"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One run of a sweep: its folder's name, and the KEY=VALUE words that make it."""

    name: str
    overrides: tuple[str, ...]


def variants(axes: Sequence[str], *, zipped: bool) -> tuple[Variant, ...]:
    """The runs that `--sweep KEY=V1,V2 ...` means: every combination, or value by value.

    A comma inside brackets or quotes belongs to its value. Raises UsageError.
    """
    keys = [_axis(text)[0] for text in axes]
    values = [_axis(text)[1] for text in axes]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise UsageError(f"--sweep {twice[0]} is given twice; give all its values at once")
    lengths = {len(column) for column in values}
    if zipped and len(lengths) > 1:
        counted = ", ".join(f"{k}: {len(v)}" for k, v in zip(keys, values, strict=True))
        raise UsageError(f"--sweep-zip takes as many values of each key, and there are {counted}")
    rows = list(zip(*values, strict=True) if zipped else itertools.product(*values))
    if len(rows) > MOST_RUNS:
        raise UsageError(f"--sweep makes {len(rows):,} runs; {MOST_RUNS:,} at most")
    sets = [tuple(f"{k}={v}" for k, v in zip(keys, row, strict=True)) for row in rows]
    if len(set(sets)) < len(sets):
        raise UsageError("--sweep names a value twice; each run must be another")
    return tuple(
        Variant(name=name, overrides=row) for name, row in zip(_names(sets), sets, strict=True)
    )


def write_sweep(folder: Path, runs: Sequence[Prepared], array: str | None = None) -> None:
    """Write all run directories, each with its review, or nothing. Raises RunDirectoryError.

    `array` is the script that starts all of them as one array of jobs.
    """
    if folder.exists():
        raise RunDirectoryError(
            f"{folder}: is there already; give the sweep another --name. "
            f"What is in it: neox-submit status {folder}"
        )
    aside = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=PRIVATE)
        if array is not None:
            write_files(aside, {SCRIPT_NAME: File(array, SCRIPT)})
        for prepared in runs:
            files = run_directory_files(prepared, 1, None)
            new_folder(aside / prepared.plan.run.name, files, INSIDE)
        aside.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def runs_in(folder: Path) -> tuple[RunPaths, ...]:
    """The runs of a sweep, by name as a person counts; none where the folder is no sweep."""
    found = [path.parent.resolve() for path in folder.glob("*/plan.json")]
    return tuple(RunPaths(path) for path in sorted(found, key=counted))


def counted(path: Path) -> list[tuple[float, str]]:
    """The order of a sweep's runs. Sorts lr=0.01 before lr=0.1, and seed=2 before seed=10."""
    pieces = re.findall(r"\d+(?:\.\d+)?|\D+", path.name)
    return [(float(piece), "") if piece[0].isdecimal() else (-1.0, piece) for piece in pieces]


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, values = text.partition("=")
    if not equals or not key or not all(split := _split(values)):
        raise UsageError(f"--sweep {text}: is not KEY=VALUE,VALUE,...")
    return key, split


def _split(text: str) -> tuple[str, ...]:
    pieces, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            pieces.append("")
            continue
        pieces[-1] += letter
        if quote or letter in "\"'":
            quote = "" if letter == quote else quote or letter
        else:
            depth += (letter in _OPEN) - (letter in _CLOSE)
    return tuple(pieces)


def _names(sets: Sequence[tuple[str, ...]]) -> list[str]:
    """ "lr=0.001+seed=1" where that can name a folder, else a number."""
    short = ["+".join(map(_short, words)) for words in sets]
    if all(_PLAIN.fullmatch(name) for name in short) and len(set(short)) == len(short):
        return short
    width = len(str(len(sets)))
    return [f"run-{number:0{width}}" for number in range(1, len(sets) + 1)]


def _short(word: str) -> str:
    """ "optimizer.params.lr=0.1" as "lr=0.1"."""
    key, _, value = word.partition("=")
    return f"{key.rpartition('.')[2]}={value}"
