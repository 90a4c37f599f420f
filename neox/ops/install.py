"""Puts a kernel library under every operation of this room."""

from pathlib import Path

from neox.ops import (
    adamw,
    cross_entropy,
    dropout,
    embedding,
    feed_forward,
    fp8,
    gelu,
    glu,
    layer_norm,
    rotary,
    scaled_sum,
    softmax,
    squared_norm,
)
from neox.ops.library import Kernel, KernelLibrary, install


def all_kernels() -> dict[str, Kernel]:
    """Operation -> the function that runs its kernel, of those for every GPU."""
    rooms = (
        adamw, cross_entropy, dropout, embedding, fp8, gelu, glu, layer_norm, rotary, scaled_sum,
        softmax, squared_norm,
    )  # fmt: skip
    return {name: kernel for room in rooms for name, kernel in room.KERNELS.items()}


def install_library(path: Path) -> None:
    """From now on this process runs the library's kernels. Raises LibraryError."""
    library = KernelLibrary(path)
    install(library, all_kernels())
    if library.runs("gemm_gelu"):
        install(library, feed_forward.KERNELS)
