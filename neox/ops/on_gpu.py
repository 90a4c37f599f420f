"""`neox kernels test` and `bench`: what they do once a GPU and its library are there."""

from pathlib import Path

import torch

from neox.kernels.errors import KernelError
from neox.kernels.gemm import Gemm, Tuned
from neox.kernels.gemm_table import read_table, table_path
from neox.kernels.sources import sources
from neox.kernels.store import fitting
from neox.ops.cublaslt import CublasLt, LtError
from neox.ops.gemm import install_gemms
from neox.ops.install import install_library
from neox.ops.library import LibraryError


def main(verb: str, root: Path) -> bool:
    """True if all is well. Raises KernelError without a GPU or a library for it."""
    if not torch.cuda.is_available():
        raise KernelError("torch sees no GPU on this machine")
    device = torch.device("cuda", torch.cuda.current_device())
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    print(f"library {use_library(root, device)}")
    if verb == "test":
        from neox.ops.trial import report  # noqa: PLC0415

        return report(print, device)
    from neox.ops.bench import bench  # noqa: PLC0415

    return bench(print, device)


def use_library(root: Path, device: torch.device) -> Path:
    """Install the store's library for this GPU. Raises KernelError when none fits or loads."""
    found = fitting(root, architecture(device), sources())
    try:
        install_library(found.library)
    except LibraryError as error:
        raise KernelError(str(error)) from None
    return found.library


def use_gemms(root: Path, device: torch.device) -> dict[Gemm, Tuned]:
    """Let linear layers use the store's table for this GPU, which is returned.

    Raises KernelError where there is no cuBLASLt, or the table is damaged.
    """
    library = gemm_library(device)
    tuned = read_table(gemm_table(root, device, library))
    if tuned:
        install_gemms(library, tuned)
    return tuned


def gemm_library(device: torch.device) -> CublasLt:
    """Raises KernelError where there is none."""
    if torch.version.hip is not None:
        raise KernelError(
            "only cuBLASLt is tuned; on ROCm torch tunes for itself: PYTORCH_TUNABLEOP_ENABLED=1"
        )
    if not torch.cuda.is_available():
        raise KernelError("torch sees no GPU on this machine")
    try:
        with torch.cuda.device(device):
            return CublasLt()
    except LtError as error:
        raise KernelError(str(error)) from None


def gemm_table(root: Path, device: torch.device, library: CublasLt) -> Path:
    return table_path(root, torch.cuda.get_device_name(device), library.version)


def architecture(device: torch.device) -> str:
    """As compilers name it."""
    if torch.version.hip is not None:
        name: str = torch.cuda.get_device_properties(device).gcnArchName
        return name.partition(":")[0]
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"
