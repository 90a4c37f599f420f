"""Puts a kernel library under every operation of this room."""

from pathlib import Path

from neox.ops import adamw, cross_entropy, dropout, fp8, gelu, glu, layer_norm, rotary, softmax
from neox.ops.library import Kernel, KernelLibrary, install


def all_kernels() -> dict[str, Kernel]:
    """Operation -> the function that runs its kernel."""
    rooms = (adamw, cross_entropy, dropout, fp8, gelu, glu, layer_norm, rotary, softmax)
    return {name: kernel for room in rooms for name, kernel in room.KERNELS.items()}


def install_library(path: Path) -> None:
    """From now on this process runs the library's kernels. Raises LibraryError."""
    install(KernelLibrary(path), all_kernels())
