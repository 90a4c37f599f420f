"""What the kernels compute, without a GPU: their source as C++ on this CPU, in warps of 64 lanes.

CI has no GPU, and no AMD GPU was at hand; this runs the HIP branch of every kernel against the
references, and once more with every access watched. Races, and what only large tensors show, are
left to `make test-gpu`.
"""

import ctypes
import os
import shutil
from pathlib import Path

import pytest
import torch

from neox.kernels.sources import sources
from neox.ops import gelu
from tests.kernels.emulation import on_cpu, translate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("g++") is None and "NEOX_REQUIRE_COMPILERS" not in os.environ,
        reason="there is no g++",
    ),
]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> on_cpu.OnCpu:
    return on_cpu.OnCpu(translate.build(sources().folder, tmp_path_factory.mktemp("emulated")))


def test_every_kernel_equals_its_reference(emulated: on_cpu.OnCpu) -> None:
    failed = on_cpu.failures(emulated, on_cpu.REFERENCES, on_cpu.LARGEST)
    assert not failed, "\n".join(failed)
    assert emulated.launches > 1000  # twice each case, forward and backward


@pytest.mark.timeout(600)  # a minute alone
def test_no_kernel_leaves_its_tensors() -> None:
    done = on_cpu.watched(sources().folder)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 1000


def test_a_kernel_that_leaves_its_tensors_is_found(tmp_path: Path) -> None:
    for header in sources().folder.glob("*.h"):
        shutil.copy(header, tmp_path)
    text = (sources().folder / "embedding.cu").read_text()
    careless = text.replace("if (first + i < s.count) place", "place")
    assert careless != text
    (tmp_path / "embedding.cu").write_text(careless)
    done = on_cpu.watched(tmp_path, "embedding_backward")
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
    assert "embedding.cpp" in done.stderr


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


def test_a_launch_is_rewritten() -> None:
    text = "f(1); k<T, 2><<<(unsigned)g(a, b), dim3(32, 4), 0, s>>>(x, h(y)); more"
    assert translate.translated(text) == (
        "f(1); emulated::launch((unsigned)g(a, b),  dim3(32, 4), [&] { k<T, 2>(x, h(y)); }); more"
    )
