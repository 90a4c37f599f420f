"""Where built libraries lie. Imports next to nothing, because every submission names the place."""

from collections.abc import Mapping
from pathlib import Path

KERNEL_STORE = "NEOX_KERNELS"  # the variable that a job finds: caches.kernels of the profile


def store_root(environ: Mapping[str, str]) -> Path:
    named = environ.get(KERNEL_STORE)
    return Path(named) if named else Path.home() / ".cache" / "neox" / "kernels"
