"""On a GPU: products by chosen algorithms, against fp64 and torch's own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neox.kernels.gemm import KINDS, Gemm, Kind, Tuned
from neox.ops import gemm_tuning
from neox.ops.cublaslt import Algorithm, CublasLt, Problem
from neox.ops.gemm import DTYPES, Multiplier, gemm_reference_
from neox.ops.gemm_tuning import tune
from neox.ops.on_gpu import gemm_library

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.version.hip is not None, reason="no NVIDIA GPU here"
    ),
]
GPU = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def library() -> CublasLt:
    return gemm_library(GPU)


def operands(gemm: Gemm) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The result's place, both factors and the bias."""
    dtype = next(one for one, name in DTYPES.items() if name == gemm.dtype)
    torch.manual_seed(1)
    first, second, out = gemm.shapes
    bias = torch.randn(gemm.n, device=GPU, dtype=dtype) if gemm.biased else None
    factors = (torch.randn(shape, device=GPU, dtype=dtype) for shape in (first, second))
    return torch.full(out, float("nan"), device=GPU, dtype=dtype), *factors, bias


def exact(gemm: Gemm, first: Tensor, second: Tensor, bias: Tensor | None) -> Tensor:
    a, b = first.double(), second.double()
    product = {"forward": lambda: a @ b.t(), "dgrad": lambda: a @ b, "wgrad": lambda: a.t() @ b}
    found = product[gemm.kind]()
    return found if bias is None else found + bias.double()


def close(found: Tensor, expected: Tensor) -> bool:
    """To the rounding of the result's format."""
    step = torch.finfo(found.dtype).eps
    apart = (found.double() - expected).abs()
    return bool((apart <= 2 * step * expected.abs() + step * expected.abs().mean()).all())


def entry(library: CublasLt, gemm: Gemm) -> Tuned:
    return table_entry(Problem(library, gemm).named(4)[-1])


def table_entry(algorithm: Algorithm) -> Tuned:
    return Tuned(algorithm=algorithm.data, seconds=1.0, seconds_of_torch=2.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", [(512, 384, 256), (520, 136, 72), (8, 8, 8)])
def test_each_algorithm_that_is_named(
    library: CublasLt, kind: Kind, dtype: str, biased: bool, shape: tuple[int, int, int]
) -> None:
    m, n, k = shape
    gemm = Gemm(kind=kind, m=m, n=n, k=k, dtype=dtype, biased=biased and kind == "forward")
    problem = Problem(library, gemm)
    out, first, second, bias = operands(gemm)
    expected = exact(gemm, first, second, bias)
    named = problem.named(8)
    assert named
    for algorithm in named:
        out.fill_(float("nan"))
        problem.run(algorithm, first, second, out, bias)
        assert close(out, expected)


def test_variants_of_a_family_are_told_apart_and_right(library: CublasLt) -> None:
    gemm = Gemm(kind="dgrad", m=1024, n=512, k=768, dtype="bfloat16")
    problem = Problem(library, gemm)
    named = problem.named(1)[0]
    out, first, second, bias = operands(gemm)
    expected = exact(gemm, first, second, bias)
    able = [
        (variant, found)
        for variant in library.variants(named)
        if (data := library.changed(named, variant)) is not None
        and (found := problem.checked(data)) is not None
    ]
    assert len(able) > 10
    assert {library.variant(found) for _, found in able} == {variant for variant, _ in able}
    for _, algorithm in able[::8]:
        out.fill_(float("nan"))
        problem.run(algorithm, first, second, out, bias)
        assert close(out, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_operation_takes_what_the_table_says(library: CublasLt, kind: Kind) -> None:
    gemm = Gemm(kind=kind, m=2048, n=1536, k=1024, dtype="bfloat16")
    problem = Problem(library, gemm)
    out, first, second, bias = operands(gemm)
    ran = set()
    for algorithm in problem.named(4):
        multiply = Multiplier(library, {gemm: table_entry(algorithm)})
        out.fill_(float("nan"))
        seen = launched(partial(multiply, out, first, second, bias, kind))
        assert seen == launched(partial(problem.run, algorithm, first, second, out, bias))
        assert close(out, exact(gemm, first, second, bias))
        ran.update(seen)
    assert len(ran) > 1  # kernels that differ
    there, one, two, none = operands(replace(gemm, m=2056))  # not in the table
    assert launched(lambda: multiply(there, one, two, none, kind)) == launched(
        lambda: gemm_reference_(there, one, two, none, kind)
    )


def launched(run: Callable[[], object]) -> list[str]:
    run()
    torch.cuda.synchronize()
    with torch.profiler.profile() as seen:
        run()
        torch.cuda.synchronize()
    return [one.name for one in seen.events() if str(one.device_type).endswith("CUDA")]


def test_operands_that_begin_anywhere(library: CublasLt) -> None:
    gemm = Gemm(kind="forward", m=512, n=384, k=256, dtype="bfloat16")
    multiply = Multiplier(library, {gemm: entry(library, gemm)})
    out, first, second, _ = operands(gemm)
    expected = exact(gemm, first, second, None)
    at_two_bytes = torch.empty(first.numel() + 1, device=GPU, dtype=first.dtype)[1:].view_as(first)
    at_two_bytes.copy_(first)
    turned = first.t().contiguous().t()
    for one in (at_two_bytes, turned):
        out.fill_(float("nan"))
        multiply(out, one, second, None, "forward")
        assert close(out, expected)
    biased = replace(gemm, biased=True)
    bias = torch.randn(gemm.n + 1, device=GPU, dtype=first.dtype)[1:]
    Multiplier(library, {biased: entry(library, biased)})(out, first, second, bias, "forward")
    assert close(out, exact(biased, first, second, bias))


def test_a_graph_replays_it(library: CublasLt) -> None:
    gemm = Gemm(kind="forward", m=512, n=384, k=256, dtype="bfloat16", biased=True)
    multiply = Multiplier(library, {gemm: entry(library, gemm)})
    out, first, second, bias = operands(gemm)
    multiply(out, first, second, bias, "forward")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        multiply(out, first, second, bias, "forward")
    first.mul_(2)
    graph.replay()
    assert close(out, exact(gemm, first, second, bias))


def test_a_refused_algorithm_is_said(library: CublasLt) -> None:
    gemm = Gemm(kind="forward", m=512, n=384, k=256, dtype="bfloat16")
    multiply = Multiplier(library, {gemm: replace(entry(library, gemm), algorithm=bytes(64))})
    out, first, second, _ = operands(gemm)
    with pytest.raises(RuntimeError, match="run `neox tune` again"):
        multiply(out, first, second, None, "forward")


def test_tuning_finds_what_is_faster_and_right(
    library: CublasLt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm_tuning, "STAGES", ((0.01, 12), (0.01, 3)))
    monkeypatch.setattr(gemm_tuning, "SETTLE", 0.005)
    monkeypatch.setattr(gemm_tuning, "LAST_WINDOW", 0.01)
    monkeypatch.setattr(gemm_tuning, "GAIN", -10.0)  # anything wins
    gemm = Gemm(kind="wgrad", m=1024, n=512, k=256, dtype="bfloat16")
    tuned, tried = tune(library, gemm, GPU)
    assert tuned.algorithm and tried > 100
    out, first, second, _ = operands(gemm)
    Multiplier(library, {gemm: tuned})(out, first, second, None, "wgrad")
    assert close(out, exact(gemm, first, second, None))
    monkeypatch.setattr(Problem, "run", lambda *given: None)  # computes nothing
    assert tune(library, gemm, GPU)[0].algorithm is None


def test_a_layer_and_its_gradients_are_torchs(
    library: CublasLt, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neox.ops import gemm as room

    gemms = [Gemm(kind=kind, m=512, n=384, k=256, dtype="bfloat16") for kind in KINDS]
    gemms[0] = replace(gemms[0], biased=True)
    multiply = Multiplier(library, {one: entry(library, one) for one in gemms})
    monkeypatch.setattr(room, "_measured", lambda *tensors: True)
    monkeypatch.setattr(torch.ops.neox, "gemm_", multiply)
    _, x, weight, bias = operands(gemms[0])
    assert bias is not None
    given = [one.requires_grad_() for one in (x.view(2, 256, 256), weight, bias)]
    up = torch.randn(2, 256, 384, device=GPU, dtype=torch.bfloat16)
    found = torch.autograd.grad(room.linear(*given), given, up)
    wide = [one.detach().double().requires_grad_() for one in given]
    expected = torch.autograd.grad(F.linear(*wide), wide, up.double())
    for one, other in zip(found, expected, strict=True):
        assert close(one, other)
