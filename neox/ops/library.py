"""A built kernel library, loaded, and its kernels put under the operations of `neox.ops`.

Every operation `torch.ops.neox.NAME` exists from the import of its module, with the torch reference
as its implementation. `install` puts the library's kernels over the references on GPUs. What is
installed is torch's own state: its dispatcher is asked, and nothing is kept here.
"""

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch

ABI = 1
DIMS = 5
_ABSENT, _HOST = 0, 6
_WRONG_GPU = 7  # of enum neox_status
_CODES = {
    torch.float32: 1,
    torch.float16: 2,
    torch.bfloat16: 3,
    torch.int64: 4,
    torch.bool: 5,
    torch.uint8: 7,
    torch.float64: 8,
}
_TENSOR = struct.Struct(f"Pii{DIMS}q{DIMS}q")  # neox_tensor of kernels/neox.h
_NOTHING = (0,) * DIMS
KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

Argument = torch.Tensor | float | None
Foreign = Callable[..., int]


class Launch(Protocol):
    """Runs kernel `name` on the current stream; see each kernel's comment for its arguments."""

    def __call__(self, name: str, *arguments: Argument) -> None: ...


Kernel = Callable[..., object]  # takes a Launch, then what the operation takes


class LibraryError(ValueError):
    """The library cannot be used; the message says why."""


class KernelLibrary:
    """The functions of one libneox.so."""

    def __init__(self, path: Path) -> None:
        """Raises LibraryError for what is no library, or one of another interface."""
        _share_the_runtime()
        self._kernels: dict[str, tuple[Foreign, Foreign | None]] = {}
        try:
            self._library = ctypes.CDLL(str(path))
            found = self._library.neox_abi()
            self._library.neox_error.restype = ctypes.c_char_p
        except (OSError, AttributeError) as error:
            raise LibraryError(f"{path}: cannot be loaded: {error}") from None
        if found != ABI:
            raise LibraryError(f"{path}: has interface {found}, this NeoX speaks {ABI}")

    def launch(self, name: str, *arguments: Argument) -> None:
        """Enqueue the kernel. Raises RuntimeError with the library's own words."""
        device = next(one.device for one in arguments if isinstance(one, torch.Tensor))
        if device.index == torch.cuda.current_device():
            self._launch(name, arguments, device)
            return
        with torch.cuda.device(device):
            self._launch(name, arguments, device)

    def runs(self, name: str) -> bool:
        """Is the kernel one that this GPU has, and that the library's compiler could make?

        Such kernels say so first of all; others find that the call has no arguments.
        """
        return self._kernel(name)[0](None, 0, None, 0, None) != _WRONG_GPU

    def _launch(self, name: str, arguments: Sequence[Argument], device: torch.device) -> None:
        kernel, query = self._kernel(name)
        packed, count = pack(arguments), len(arguments)
        where, size = None, 0
        if query is not None:
            size = query(packed, count)
            # the allocator may give it away as soon as the kernel ran
            scratch = torch.empty(size, dtype=torch.uint8, device=device)
            where = scratch.data_ptr()
        status = kernel(packed, count, where, size, torch.cuda.current_stream(device).cuda_stream)
        if status:
            words = self._library.neox_error(status).decode()
            raise RuntimeError(f"kernel {name}: {words}")

    def _kernel(self, name: str) -> tuple[Foreign, Foreign | None]:
        """The kernel and its size query; looked up once, because a miss costs as much as a call."""
        found = self._kernels.get(name)
        if found is not None:
            return found
        kernel = self._library[f"neox_{name}"]
        kernel.argtypes = [
            ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p,
        ]  # fmt: skip
        try:
            query = self._library[f"neox_{name}_scratch"]
            query.argtypes, query.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int64
        except AttributeError:
            query = None
        self._kernels[name] = kernel, query
        return kernel, query


def pack(arguments: Sequence[Argument]) -> ctypes.Array[ctypes.c_char]:
    """The arguments as an array of neox_tensor, the host's numbers behind it."""
    numbers = len(arguments) * _TENSOR.size
    buffer = ctypes.create_string_buffer(numbers + 8 * len(arguments))
    base = ctypes.addressof(buffer)
    for index, argument in enumerate(arguments):
        at = index * _TENSOR.size
        if argument is None:
            continue  # zeros: absent
        if isinstance(argument, torch.Tensor):
            pad = _NOTHING[argument.ndim :]
            _TENSOR.pack_into(
                buffer,
                at,
                argument.data_ptr(),
                _CODES[argument.dtype],
                argument.ndim,
                *argument.shape,
                *pad,
                *argument.stride(),
                *pad,
            )
            continue
        struct.pack_into("d", buffer, numbers + 8 * index, argument)
        _TENSOR.pack_into(buffer, at, base + numbers + 8 * index, _HOST, 0, *_NOTHING, *_NOTHING)
    return buffer


def _share_the_runtime() -> None:
    """Open torch's own libamdhip64 to all: a HIP library names none, so it finds that one."""
    if torch.version.hip is None:
        return
    path = loaded("libamdhip64")
    if path is not None:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def loaded(name: str) -> str | None:
    """Where the library lies that torch uses; a second copy would not know torch's device."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if name in line:
            return line.split(maxsplit=5)[-1]
    return None


# --- operations ----------------------------------------------------------------------------------


def define(
    name: str, schema: str, *, reference: Callable[..., object], fake: Callable[..., object]
) -> None:
    """Make torch.ops.neox.NAME: `reference` computes it, `fake` tells shapes to the compiler."""
    full = f"neox::{name}"
    torch.library.define(full, schema)
    torch.library.impl(full, "CompositeExplicitAutograd", reference)
    torch.library.register_fake(full, fake)


def install(library: KernelLibrary, kernels: dict[str, Kernel]) -> None:
    """Let the operations run the library's kernels on GPUs, from now on in this process."""
    for name, kernel in kernels.items():
        install_one(name, functools.partial(kernel, library.launch))


def install_one(name: str, run: Callable[..., object]) -> None:
    """Let operation `name` do this on GPUs; what stands there already stays."""
    if not _installed(name):
        torch.library.impl(f"neox::{name}", "CUDA", run)


def installed(name: str, *tensors: torch.Tensor | None) -> bool:
    """Does a kernel stand under operation `name` that takes tensors of these kinds?"""
    given = [tensor for tensor in tensors if tensor is not None]
    first = given[0]
    return (
        first.is_cuda
        and first.dtype in KERNEL_DTYPES
        and all(tensor.dtype == first.dtype for tensor in given)
        and _installed(name)
    )


def _installed(name: str) -> bool:
    """To torch.compile always: to it an operation is one node, whatever stands under it."""
    if torch.compiler.is_compiling():
        return True
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"neox::{name}", "CUDA")


def wide(x: torch.Tensor) -> torch.Tensor:
    """In the format that references compute in: fp32, or fp64 where it came so."""
    return x if x.dtype == torch.float64 else x.float()
