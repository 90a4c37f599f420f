"""Both real compilers compile every kernel, and the code objects are inside."""

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from neox.kernels import code_objects
from neox.kernels.build import Order, build
from neox.kernels.sources import sources
from neox.kernels.toolchain import toolchain_for
from neox.ops.library import KernelLibrary
from neox.submit.runner import SystemRunner

KERNELS = (
    "norm", "norm_backward", "rotary", "join_heads", "bias_gelu", "bias_gelu_backward", "glu",
    "glu_backward", "dropout_add", "dropout_add_backward", "softmax", "softmax_backward",
    "cross_entropy", "cross_entropy_statistics", "cross_entropy_gradient", "scaled_sum",
    "embedding_backward", "squared_norm", "adamw",
)  # fmt: skip
ON_HOPPER = ("gemm_gelu", "gemm_gelu_backward")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("architecture", "compiler"), [("sm_90", "nvcc"), ("gfx90a", "hipcc")])
def test_the_kernels_compile(architecture: str, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        if os.environ.get("NEOX_REQUIRE_COMPILERS"):
            pytest.fail(f"{compiler} is not installed")
        pytest.skip(f"{compiler} is not installed")
    chain = toolchain_for((architecture,), None)
    environ = chain.environment(os.environ)
    order = Order(
        sources=sources(),
        toolchain=chain,
        architectures=(architecture,),
        root=tmp_path,
        at_once=2,
    )
    made = build(order, SystemRunner(environ), environ, print)
    assert code_objects.architectures(made.library) == (architecture,)
    names = made.library.read_bytes()
    for kernel in (*KERNELS, *ON_HOPPER):
        assert f"neox_{kernel}\0".encode() in names
    assert b"libamdhip64" not in names  # torch's own is used, and no second one
    if compiler == "nvcc":  # the other needs a HIP runtime to be loaded
        library = ctypes.CDLL(str(made.library))
        assert library.neox_abi() == order.sources.abi
        library.neox_error.restype = ctypes.c_char_p
        assert library.neox_error(6) == b"a row is longer than this kernel holds"
        for kernel in KERNELS:  # refuse what is no call, without a GPU
            assert library[f"neox_{kernel}"](None, 1, None, 0, None) == 1, kernel
        for kernel in ON_HOPPER:
            assert library[f"neox_{kernel}"](None, 1, None, 0, None) == 7, kernel
        assert library.neox_error(7).startswith(b"this GPU, or the compiler that built")
        loaded = KernelLibrary(made.library)
        assert all(loaded.runs(kernel) for kernel in KERNELS)
        assert not any(loaded.runs(kernel) for kernel in ON_HOPPER)
