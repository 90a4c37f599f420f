"""Index maps on disk: built once, memory-mapped by every rank.

The name is a hash of all that a map depends on, so a stale map is never met. Maps are written
aside and published by one rename; of several processes that build the same one, the first wins
and the others use it. Nobody waits for rank 0. A lock spares the ranks of a node from building
it all at once; where a file system has no locks, they do, and the result is the same.
"""

import contextlib
import fcntl
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from neox.data.order import IntArray

FOLDER = ".neox-order"
SMALL_BYTES = 1 << 16
# version 1.0 of the .npy format, rows of one or two columns (numpy/lib/format.py)
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][iu]\d)', 'fortran_order': False, "
    rb"'shape': \((\d+), ?(\d*)\), \} *\n",
    re.DOTALL,
)
USER_CACHE = ".cache/neox/order"

Maps = Mapping[str, IntArray]


def cached_maps(
    key: str, names: tuple[str, ...], folders: tuple[Path, ...], build: Callable[[], Maps]
) -> Maps:
    """The maps `names` of `key`, from the first of `folders` that has or takes them.

    Built in memory where no folder can be written: slower to start, never wrong.
    """
    for folder in folders:
        maps = _load(folder / key, names)
        if maps is not None:
            return maps
    for folder in folders:
        if _writable(folder):
            return _build_into(folder, key, names, build)
    return build()


def cache_folders(data: Path, cache: Path | None) -> tuple[Path, ...]:
    """Where maps of `data` may lie: `cache` if given, else beside the data, then the user's."""
    if cache is not None:
        return (cache,)
    return (data.parent / FOLDER, Path.home() / USER_CACHE)


def _build_into(folder: Path, key: str, names: tuple[str, ...], build: Callable[[], Maps]) -> Maps:
    with _lock(folder / f"{key}.lock"):
        maps = _load(folder / key, names)
        if maps is not None:
            return maps  # another process built it while we waited
        maps = build()
        with contextlib.suppress(OSError):  # a full disk costs the cache, not the run
            _publish(folder / key, maps)
            return _load(folder / key, names) or maps
        return maps


def _publish(target: Path, maps: Maps) -> None:
    aside = target.with_name(f"{target.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        aside.mkdir()
        for name, array in maps.items():
            with (aside / f"{name}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        if target.is_dir():  # there, though it could not be loaded: damaged
            shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _load(folder: Path, names: tuple[str, ...]) -> Maps | None:
    try:
        return {name: _read(folder / f"{name}.npy") for name in names}
    except (OSError, ValueError, EOFError):  # absent, or cut short
        return None


def _read(path: Path) -> IntArray:
    if path.stat().st_size <= SMALL_BYTES:
        return _read_small(path.read_bytes())
    # view(): a plain array over the map, since slicing np.memmap is slow
    found: IntArray = np.load(path, mmap_mode="r").view(np.ndarray)
    return found


def _read_small(raw: bytes) -> IntArray:
    """What np.save wrote. np.load takes most of its time to read the header, and mapping costs
    more still: a blend of a thousand sets feels both.
    """
    match = HEADER.match(raw)
    if match is None:
        raise ValueError("not as np.save writes whole numbers")
    dtype, rows, columns = match.groups()
    shape = (int(rows), int(columns)) if columns else (int(rows),)
    start = 10 + int.from_bytes(raw[8:10], "little")
    found: IntArray = np.frombuffer(raw, dtype.decode(), math.prod(shape), start).reshape(shape)
    return found


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        file = path.open("w")
    except OSError:
        yield
        return
    with file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel even if we are killed
        yield
    path.unlink(missing_ok=True)
