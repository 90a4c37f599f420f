"""Files that are either whole or not there: written aside, synced, renamed."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neox.submit.refusal import RunDirectoryError

PRIVATE = 0o700
SCRIPT = 0o700
MANIFEST = 0o600


@dataclass(frozen=True)
class File:
    """Content of a file to be written, and who may do what with it."""

    text: str
    mode: int = MANIFEST


def write_files(folder: Path, files: Mapping[str, File]) -> None:
    """Replace files of an existing folder, each at once; on failure no temporary file stays.

    All are written aside before the first is renamed: a full disk leaves the old ones.
    """
    aside = {name: folder / f".{name}.{os.getpid()}" for name in files}
    try:
        for name, file in files.items():
            _write(aside[name], file)
        for name, path in aside.items():
            path.replace(folder / name)
    except OSError as error:
        for path in aside.values():
            _forget(path)
        raise cannot_write(folder, error) from None


def new_folder(folder: Path, files: Mapping[str, File], inside: tuple[str, ...] = ()) -> bool:
    """Make a folder with these files and empty folders, whole or not at all.

    Returns False, and writes nothing, when somebody else has made it already.
    """
    aside = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=PRIVATE)
        for name in inside:
            (aside / name).mkdir(mode=PRIVATE)
        for name, file in files.items():
            _write(aside / name, file)
        return _publish(aside, folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise cannot_write(folder, error) from None


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write, and see it on the disk."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MANIFEST)
        try:
            os.write(handle, f"{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_write(path, error) from None


def read(path: Path) -> str:
    """The whole text. Raises RunDirectoryError in one line."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunDirectoryError(f"{path}: is not text; was it overwritten?") from None


def cannot_write(path: Path, error: OSError) -> RunDirectoryError:
    advice = "make room, or choose another place with -o DIR"
    if isinstance(error, FileExistsError | NotADirectoryError):
        advice = "a file is in the way; choose another place with -o DIR"
    return RunDirectoryError(
        f"{path}: cannot be written: {error.strerror}; nothing was left half-done; {advice}"
    )


def _publish(aside: Path, folder: Path) -> bool:
    """Rename onto the final name; a folder that is there and not empty stays as it is."""
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(aside, ignore_errors=True)
        return False
    return True


def _write(path: Path, file: File) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(file.text)
        stream.flush()
        os.fsync(handle)


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):  # the disk is in trouble already; the first error says so
        path.unlink(missing_ok=True)
