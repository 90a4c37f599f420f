"""The kernels' sources on the shelf, and the digest that a built library must match."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from neox.content import shipped
from neox.kernels.errors import KernelError

_ABI = re.compile(r"^#define NEOX_ABI (\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Sources:
    folder: Path
    units: tuple[Path, ...]  # what is compiled, in order of name
    digest: str  # of every file, headers too
    abi: int


def sources(folder: Path | None = None) -> Sources:
    """Those of this NeoX. Raises KernelError when the shelf is not there."""
    folder = shipped("kernels") if folder is None else folder
    files = sorted(path for path in folder.glob("*") if path.suffix in (".cu", ".h"))
    if not files:
        raise KernelError(f"{folder}: there are no kernel sources; install NeoX again")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    found = _ABI.search((folder / "neox.h").read_text())
    assert found is not None
    return Sources(
        folder=folder,
        units=tuple(path for path in files if path.suffix == ".cu"),
        digest=digest.hexdigest(),
        abi=int(found[1]),
    )
