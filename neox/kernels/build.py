"""Compiles the kernels into the store.

Each builder works in a draft folder of its own and publishes it by one rename: two builders at once
do the work twice and disturb nobody, and no lock can be left behind.
"""

import errno
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from neox.kernels import architectures, code_objects
from neox.kernels.errors import KernelError
from neox.kernels.sources import Sources
from neox.kernels.store import LIBRARY, Built, Manifest, built, digest_of, write_manifest
from neox.kernels.toolchain import Toolchain
from neox.submit.refusal import SchedulerError
from neox.submit.runner import NOTHING, Finished, Runner

COMPILE_SECONDS = 1800.0
STALE_SECONDS = 86_400.0  # a draft untouched for a day has no builder any more
_FULL = "No space left on device"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to build."""

    sources: Sources
    toolchain: Toolchain
    architectures: tuple[str, ...]
    root: Path
    at_once: int = 1  # compilers side by side


def build(
    order: Order, runner: Runner, environ: Mapping[str, str], say: Callable[[str], None]
) -> Built:
    """The library that was ordered, compiled now unless it lies there whole.

    Raises KernelError; nothing is then left behind.
    """
    architectures.check(order.architectures)
    _require_compilers(order.toolchain, environ)
    compiler = _version(order.toolchain, runner)
    folder = order.root / _key(order, compiler)
    there = _published(folder)
    if there is not None:
        say(f"already built: {there.library}")
        return there
    try:
        order.root.mkdir(parents=True, exist_ok=True)
        _sweep(order.root)
        draft = order.root / f".{folder.name}.{socket.gethostname()}.{os.getpid()}"
        draft.mkdir()
    except OSError as error:
        raise KernelError(f"{order.root}: {error.strerror}; choose another with --into") from None
    try:
        with tempfile.TemporaryDirectory(prefix="neox-kernels-") as scratch:
            _compile(order, runner, draft, {"TMPDIR": scratch}, say)
        _describe(order, draft, compiler)
        return _publish(draft, folder, say)
    except OSError as error:
        raise KernelError(_unwritten(order.root, error)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_compilers(toolchain: Toolchain, environ: Mapping[str, str]) -> None:
    path = environ.get("PATH", os.defpath)
    for command in (toolchain.cc, toolchain.linker):
        if shutil.which(command, path=path) is None:
            raise KernelError(
                f"{command}: no such compiler on PATH; load the site's module for it, or give "
                "--cc /path/to/it"
            )


def _version(toolchain: Toolchain, runner: Runner) -> str:
    said = _run(runner, (toolchain.cc, "--version")).stdout.splitlines()
    lines = [line.strip() for line in said if any(mark.isdigit() for mark in line)]
    # nvcc's first such line is its copyright, its last one names the build
    return (lines[-1] if toolchain.kind == "cuda" else lines[0]) if lines else toolchain.cc


def _key(order: Order, compiler: str) -> str:
    words = (order.sources.digest, str(order.sources.abi), compiler, *order.architectures)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _published(folder: Path) -> Built | None:
    found = next((one for one in built(folder.parent) if one.folder == folder), None)
    return found if found is not None and found.damage is None else None


def _compile(
    order: Order,
    runner: Runner,
    draft: Path,
    extra: Mapping[str, str],  # hipcc leaves an empty folder for every file in TMPDIR
    say: Callable[[str], None],
) -> None:
    began = time.monotonic()

    def one(unit: Path) -> Path:
        out = draft / f"{unit.stem}.o"
        _run(runner, order.toolchain.compile(unit, out, order.architectures), extra)
        return out

    # the slowest first would be best, and the largest file is nearly always the slowest
    units = sorted(order.sources.units, key=lambda unit: -unit.stat().st_size)
    with ThreadPoolExecutor(max_workers=order.at_once) as pool:
        objects = tuple(pool.map(one, units))
    _run(runner, order.toolchain.link(objects, draft / LIBRARY, order.architectures), extra)
    for path in objects:
        path.unlink()
    names = ", ".join(order.architectures)
    say(f"compiled {len(objects)} files for {names} in {time.monotonic() - began:.0f} s")


def _describe(order: Order, draft: Path, compiler: str) -> None:
    library = draft / LIBRARY
    inside = code_objects.architectures(library)
    missing = [name for name in order.architectures if name.rstrip("af") not in _plain(inside)]
    if missing:
        raise KernelError(
            f"{order.toolchain.cc} left out code for {', '.join(missing)}: the library has "
            f"{', '.join(inside) or 'none'}"
        )
    manifest = Manifest(
        source=order.sources.digest,
        abi=order.sources.abi,
        architectures=order.architectures,
        compiler=compiler,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=digest_of(library),
    )
    write_manifest(draft, manifest)


def _plain(names: tuple[str, ...]) -> set[str]:
    return {name.rstrip("af") for name in names}


def _publish(draft: Path, folder: Path, say: Callable[[str], None]) -> Built:
    for _ in range(3):
        try:
            draft.rename(folder)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            theirs = _published(folder)
            if theirs is not None:
                say(f"another builder was first: {theirs.library}")
                return theirs
            shutil.rmtree(folder, ignore_errors=True)  # damaged: nobody can use it
    done = _published(folder)
    if done is None:
        raise KernelError(f"{folder}: cannot be replaced; remove it and build again")
    say(f"built {done.library}")
    return done


def _sweep(root: Path) -> None:
    """Remove what killed builders left."""
    for draft in root.glob(".*"):
        if draft.is_dir() and time.time() - draft.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)


def _run(runner: Runner, argv: tuple[str, ...], extra: Mapping[str, str] = NOTHING) -> Finished:
    try:
        done = runner.run(argv, timeout=COMPILE_SECONDS, extra=extra)
    except SchedulerError as error:
        raise KernelError(str(error)) from None
    if done.code == 0:
        return done
    if _FULL in done.stderr:
        raise KernelError(f"{argv[0]}: {_FULL}: neither a library nor a part of one was left")
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    raise KernelError(f"{argv[0]} failed: {errors[0].strip() if errors else done.complaint}")


def _unwritten(root: Path, error: OSError) -> str:
    return f"{root}: {error.strerror}; nothing was left there; choose another with --into"
