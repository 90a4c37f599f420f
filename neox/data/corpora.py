"""Texts that are there without a download: the sources of Python's own standard library."""

import hashlib
import sysconfig
from pathlib import Path

from neox.data.errors import DataError

PYTHON_STDLIB = "python-stdlib"
CORPORA = (PYTHON_STDLIB,)
# tests hold little prose and not every machine has them; site-packages is not the library
LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
LEAST_BYTES = 2_000_000


def corpus_files(name: str) -> list[Path]:
    """The documents of a corpus, one per file, the same order on every machine with them.

    Ordered by the hash of the relative path, so that any cut by document is a fair sample.
    Raises DataError when the corpus is unknown or this Python came without its sources.
    """
    if name != PYTHON_STDLIB:
        raise DataError(f"--corpus {name} is unknown; there is {', '.join(CORPORA)}")
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in root.rglob("*.py") if _belongs(path, root)]
    found = sum(path.stat().st_size for path in files)
    if found < LEAST_BYTES:
        raise DataError(
            f"{root} holds only {found:,} bytes of the standard library's sources; "
            "use --input with your own text, or a complete Python"
        )
    return sorted(files, key=lambda path: _place(path.relative_to(root)))


def _belongs(path: Path, root: Path) -> bool:
    inside = path.relative_to(root)
    return not LEFT_OUT.intersection(inside.parts) and path.is_file()


def _place(inside: Path) -> str:
    return hashlib.sha256(inside.as_posix().encode()).hexdigest()
