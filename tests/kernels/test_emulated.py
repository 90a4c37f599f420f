"""What the kernels compute, without a GPU: their source as C++ on this CPU, in warps of 64 lanes.

CI has no GPU, and no AMD GPU was at hand; this runs the HIP branch of every kernel against the
references. Races and memory that only a GPU would show are left to `make test-gpu`.
"""

import ctypes
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from neox.kernels.sources import sources
from neox.ops import (
    adamw,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    glu,
    install,
    layer_norm,
    rotary,
    scaled_sum,
    softmax,
    squared_norm,
    trial,
)
from neox.ops.library import Argument, pack
from tests.kernels.emulation import translate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("g++") is None and "NEOX_REQUIRE_COMPILERS" not in os.environ,
        reason="there is no g++",
    ),
]
REFERENCES: dict[str, Callable[..., object]] = {
    "norm": layer_norm.norm_reference,
    "norm_backward": layer_norm.norm_backward_reference,
    "bias_gelu": gelu.bias_gelu_reference,
    "bias_gelu_backward": gelu.bias_gelu_backward_reference,
    "glu": glu.glu_reference,
    "glu_backward": glu.glu_backward_reference,
    "dropout_add": dropout.dropout_add_reference,
    "dropout_add_backward": dropout.dropout_add_backward_reference,
    "softmax": softmax.softmax_reference,
    "softmax_backward": softmax.softmax_backward_reference,
    "rotate_": rotary.rotate_reference_,
    "join_heads": rotary.join_reference,
    "turn_back_": rotary.turn_back_reference_,
    "cross_entropy_": cross_entropy.cross_entropy_reference_,
    "shard_statistics": cross_entropy.shard_statistics_reference,
    "shard_gradient_": cross_entropy.shard_gradient_reference_,
    "squared_norm": squared_norm.squared_norm_reference,
    "embedding_backward": embedding.embedding_backward_reference,
    "scaled_sum": scaled_sum.scaled_sum_reference,
    "adamw_": adamw.adamw_reference_,
}
ELEMENTS = 20_000  # of the largest case: a thread costs more here than on a GPU
ELEMENTS_OF = {"cross_entropy_": 130_000}  # its kernel goes another way where a row is long


class OnCpu:
    """As KernelLibrary launches, with scratch memory that is poisoned."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self.launches = 0

    def launch(self, name: str, *arguments: Argument) -> None:
        kernel = self._library[f"neox_{name}"]
        packed, size, where = pack(arguments), 0, None
        if hasattr(self._library, f"neox_{name}_scratch"):
            query = self._library[f"neox_{name}_scratch"]
            query.restype = ctypes.c_int64
            size = query(packed, len(arguments))
            scratch = torch.full((size,), 255, dtype=torch.uint8)  # NaN
            where = ctypes.c_void_p(scratch.data_ptr())
        status = kernel(packed, len(arguments), where, ctypes.c_size_t(size), None)
        assert status == 0, f"{name}: status {status}"
        self.launches += 1


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> OnCpu:
    return OnCpu(translate.build(sources().folder, tmp_path_factory.mktemp("emulated")))


def routed(name: str, emulated: OnCpu) -> Callable[..., object]:
    """fp64 to the reference, everything else to the kernel."""
    kernel = functools.partial(install.all_kernels()[name], emulated.launch)

    def call(*arguments: object) -> object:
        tensors = [
            one
            for value in arguments
            for one in (value if isinstance(value, list) else [value])
            if isinstance(one, torch.Tensor) and one.is_floating_point()
        ]
        wide = tensors[0].dtype == torch.float64
        return (REFERENCES[name] if wide else kernel)(*arguments)

    return call


def test_every_kernel_equals_its_reference(emulated: OnCpu) -> None:
    failed = []
    with torch.library._scoped_library("neox", "IMPL") as library:
        for name in REFERENCES:
            library.impl(name, routed(name, emulated), "CPU")
        for case in trial.cases(torch.device("cpu")):
            if case.op not in REFERENCES or _size(case) > ELEMENTS_OF.get(case.op, ELEMENTS):
                continue
            verdict = trial.run(case)
            if not verdict.passed:
                failed.append(f"{case.name}: off by {verdict.error:.1e}, repeats {verdict.repeats}")
    assert not failed, "\n".join(failed)
    assert emulated.launches > 1000  # twice each case, forward and backward


PROBE = """
#include "pointwise.h"
template <typename Curve> void probe(const float *x, float *out, int n) {
  for (int i = 0; i < n; i++, out += 4) {
    Curve::both(x[i], Curve::begin(x[i]), out[0], out[1]);
    out[2] = Curve::value(x[i]), out[3] = Curve::slope(x[i]);
  }
}
NEOX_API void gelu_exact(const float *x, float *out, int n) { probe<GeluExact>(x, out, n); }
NEOX_API void gelu_tanh(const float *x, float *out, int n) { probe<GeluTanh>(x, out, n); }
"""


@pytest.mark.parametrize("form", ["gelu_exact", "gelu_tanh"])
def test_gelu_and_slope_at_once_are_as_exact_as_alone(form: gelu.Form, tmp_path: Path) -> None:
    """In the tail, too, where one minus almost one would leave nothing of the number."""
    for header in sources().folder.glob("*.h"):
        shutil.copy(header, tmp_path)
    (tmp_path / "probe.cu").write_text(PROBE)
    (tmp_path / "built").mkdir()
    library = ctypes.CDLL(str(translate.build(tmp_path, tmp_path / "built")))
    x = torch.linspace(-5, 5, 4001)
    found = torch.empty(len(x), 4)
    library[form](ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(found.data_ptr()), len(x))
    value, slope, value_alone, slope_alone = found.unbind(dim=1)
    torch.testing.assert_close(value, value_alone, rtol=1e-6, atol=0)
    torch.testing.assert_close(slope, slope_alone, rtol=1e-6, atol=0)
    for one, exact in ((value, gelu.gelu_reference), (slope, gelu.gelu_slope)):
        torch.testing.assert_close(one.double(), exact(x.double(), form), rtol=0, atol=4e-6)


def _size(case: trial.Case) -> int:
    flat = [v for value in case.arguments for v in (value if isinstance(value, list) else [value])]
    return max((one.numel() for one in flat if isinstance(one, torch.Tensor)), default=0)


def test_a_launch_is_rewritten() -> None:
    text = "f(1); k<T, 2><<<(unsigned)g(a, b), dim3(32, 4), 0, s>>>(x, h(y)); more"
    assert translate.translated(text) == (
        "f(1); emulated::launch((unsigned)g(a, b),  dim3(32, 4), [&] { k<T, 2>(x, h(y)); }); more"
    )
