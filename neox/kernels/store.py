"""Where built libraries lie, and which one a rank may load.

ROOT/KEY/ holds libneox.so and manifest.json, published together by one rename: what is there is
whole, unless a disk or a person damaged it, and then the digest says so.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from neox.kernels.architectures import runs_on
from neox.kernels.errors import KernelError
from neox.kernels.sources import Sources

LIBRARY = "libneox.so"
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    source: str  # digest of the sources
    abi: int
    architectures: tuple[str, ...]
    compiler: str  # what it says of itself
    built: str  # when, UTC
    sha256: str  # of the library


@dataclass(frozen=True, kw_only=True)
class Built:
    """One library of the store."""

    folder: Path
    manifest: Manifest

    @property
    def library(self) -> Path:
        return self.folder / LIBRARY

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, if something is."""
        try:
            digest = digest_of(self.library)
        except OSError as error:
            return f"{self.library}: {error.strerror}"
        if digest != self.manifest.sha256:
            return f"{self.library}: is half written or damaged"
        return None


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def built(root: Path) -> tuple[Built, ...]:
    """Everything in the store, the newest first; drafts and strangers are no part of it."""
    found = []
    for path in root.glob(f"*/{MANIFEST}"):
        manifest = None if path.parent.name.startswith(".") else _read(path)
        if manifest is not None:
            found.append(Built(folder=path.parent, manifest=manifest))
    return tuple(sorted(found, key=lambda one: one.manifest.built, reverse=True))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def _read(path: Path) -> Manifest | None:
    try:
        fields = json.loads(path.read_text())
        return Manifest(**{**fields, "architectures": tuple(fields["architectures"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def fitting(root: Path, gpu: str, wanted: Sources) -> Built:
    """The library for a GPU of architecture `gpu`.

    Raises KernelError when there is none: it says what there is instead, and what to type.
    """
    make = f"`neox kernels build --arch {gpu}` makes one"
    there = built(root)
    if not there:
        raise KernelError(f"no kernel library in {root}; {make}")
    same = [one for one in there if one.manifest.source == wanted.digest]
    same = [one for one in same if one.manifest.abi == wanted.abi]
    if not same:
        raise KernelError(f"the libraries in {root} were built from other sources; {make}")
    fit = [one for one in same if any(runs_on(code, gpu) for code in one.manifest.architectures)]
    if not fit:
        others = sorted({code for one in same for code in one.manifest.architectures})
        raise KernelError(
            f"the libraries in {root} are for {', '.join(others)}, this GPU is {gpu}; {make}"
        )
    whole = next((one for one in fit if one.damage is None), None)
    if whole is None:
        raise KernelError(f"{fit[0].damage}; {make}")
    return whole
