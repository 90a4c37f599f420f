"""`neox config migrate FILE...`: read, rewrite, explain, write aside and replace."""

import sys
from collections.abc import Sequence
from pathlib import Path

from neox.config.load import found, read_text, typed_text
from neox.config.migrate import Migrated, migrated
from neox.config.places import ConfigErrors
from neox.run.exit_codes import ExitCode
from neox.run.stop import write_aside


def migrate_files(
    files: Sequence[Path], overrides: Sequence[str], output: Path | None, *, in_place: bool
) -> int:
    """Rewrite each file; the exit code is 2 where a file is still wrong, or cannot be read."""
    wrong = _misuse(files, overrides, output, in_place=in_place)
    if wrong:
        print(f"neox config migrate: {wrong}", file=sys.stderr)
        return ExitCode.CONFIG
    codes = [_migrate(file, output, in_place=in_place) for file in files]
    return max(codes)


def _misuse(
    files: Sequence[Path], overrides: Sequence[str], output: Path | None, *, in_place: bool
) -> str | None:
    if overrides:
        return f"rewrites files alone; put {overrides[0]} on the command line of the run"
    if output is not None and in_place:
        return "give -o NEW or --in-place, not both"
    if len(files) > 1 and not in_place:
        return "writes one file; give --in-place to rewrite several, each kept as FILE.old"
    return None


def _migrate(file: Path, output: Path | None, *, in_place: bool) -> int:
    try:
        old = read_text(file)
        new = migrated(old, str(file))
        _write(file, old, new, output, in_place=in_place)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return ExitCode.CONFIG
    except OSError as error:
        where = error.filename or output or file
        print(f"neox config migrate: {where}: {error.strerror}", file=sys.stderr)
        return ExitCode.REFUSED
    for change in new.changes:
        print(f"{file}:{change}", file=sys.stderr)
    left = _left(file, new)
    print(_summary(file, new, left), file=sys.stderr)
    return ExitCode.CONFIG if left else ExitCode.DONE


def _write(file: Path, old: str, new: Migrated, output: Path | None, *, in_place: bool) -> None:
    if in_place:
        if new.text != old:
            path = found(file)
            write_aside(path.with_name(f"{path.name}.old"), old)
            write_aside(path, new.text)
    elif output is not None:
        write_aside(output, new.text)
    else:
        print(new.text.removesuffix("\n"))


def _left(file: Path, new: Migrated) -> tuple[str, ...]:
    """What is wrong with the new text still: a person has to say what is meant."""
    try:
        typed_text(new.text, str(file))
    except ConfigErrors as errors:
        return tuple(str(problem) for problem in errors.problems)
    return ()


def _summary(file: Path, new: Migrated, left: Sequence[str]) -> str:
    count = len(new.changes)
    done = f"{file}: {count or 'no'} change{'' if count == 1 else 's'}"
    return "\n".join([*left, f"{done}; {len(left)} left for you" if left else done])
