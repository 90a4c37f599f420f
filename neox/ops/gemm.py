"""Linear layers by the algorithms that `neox tune` found fastest; elsewhere by torch's own choice.

cuBLASLt's heuristic names what would be fastest at full clocks. A card that trains runs at the
limit of its power, where another algorithm for the same product is up to a tenth faster.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from neox.kernels.gemm import Gemm, Kind, Tuned
from neox.ops.cublaslt import ALIGNMENT, Algorithm, CublasLt, Problem
from neox.ops.library import define, install_one, installed

DTYPES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """x weight^T + bias; x [..., in], weight [out, in], bias [out]."""
    if not _measured(x, weight, bias):
        return F.linear(x, weight, bias)
    y: torch.Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


def gemm(
    kind: Kind,
    first: torch.Tensor,
    second: torch.Tensor,
    bias: torch.Tensor | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """forward: x W^T + bias of (x, W); dgrad: dy W of (dy, W); wgrad: dy^T x of (dy, x).

    All of two dimensions; records no gradient.
    """
    if out is None:
        out = first.new_empty(_result_shape(kind, first, second))
    multiply = torch.ops.neox.gemm_ if _measured(first, second, bias) else gemm_reference_
    multiply(out, first, second, bias, kind)
    return out


def _measured(*tensors: torch.Tensor | None) -> bool:
    """torch.compile has a choice of its own."""
    return not torch.compiler.is_compiling() and installed("gemm_", *tensors)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, weight)
        return gemm("forward", rows, weight, bias).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = dy.reshape(-1, dy.shape[-1])
        of_x, of_weight, of_bias = ctx.needs_input_grad
        dx = gemm("dgrad", rows, weight) if of_x else None
        return (
            None if dx is None else dx.view(*dy.shape[:-1], dx.shape[-1]),
            gemm("wgrad", rows, x) if of_weight else None,
            rows.sum(dim=0) if of_bias else None,
        )


# --- the operation -------------------------------------------------------------------------------


def gemm_reference_(
    out: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    bias: torch.Tensor | None,
    kind: Kind,
) -> None:
    if kind == "wgrad":
        torch.mm(first.t(), second, out=out)
    elif kind == "dgrad":
        torch.mm(first, second, out=out)
    elif bias is None:
        torch.mm(first, second.t(), out=out)
    else:
        torch.addmm(bias, first, second.t(), out=out)


def _result_shape(kind: Kind, first: torch.Tensor, second: torch.Tensor) -> tuple[int, int]:
    rows = first.shape[1] if kind == "wgrad" else first.shape[0]
    return rows, second.shape[0] if kind == "forward" else second.shape[1]


define(
    "gemm_",
    "(Tensor(a!) out, Tensor first, Tensor second, Tensor? bias, str kind) -> ()",
    reference=gemm_reference_,
    fake=lambda *_: None,
)


def install_gemms(lt: CublasLt, tuned: Mapping[Gemm, Tuned]) -> None:
    """From now on linear layers on a GPU use these algorithms for the products they are for."""
    install_one("gemm_", Multiplier(lt, tuned))


class Multiplier:
    """The operation on a GPU."""

    def __init__(self, lt: CublasLt, tuned: Mapping[Gemm, Tuned]) -> None:
        self._lt, self._tuned = lt, tuned
        self._plans: dict[tuple[object, ...], tuple[Problem, Algorithm] | None] = {}

    def __call__(
        self,
        out: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        bias: torch.Tensor | None,
        kind: Kind,
    ) -> None:
        key = (kind, first.shape, second.shape, first.dtype, bias is None)
        if key not in self._plans:
            self._plans[key] = self._plan(kind, first, second, bias)
        plan = self._plans[key]
        if plan is None or not _fit(out, first, second, bias):
            gemm_reference_(out, first, second, bias, kind)
            return
        problem, algorithm = plan
        problem.run(algorithm, first, second, out, bias)

    def _plan(
        self, kind: Kind, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None
    ) -> tuple[Problem, Algorithm] | None:
        wanted = described(kind, first, second, bias)
        tuned = None if wanted is None else self._tuned.get(wanted)
        if wanted is None or tuned is None or tuned.algorithm is None:
            return None
        problem = Problem(self._lt, wanted)
        algorithm = problem.checked(tuned.algorithm)
        if algorithm is None:
            raise RuntimeError(
                f"cuBLASLt {self._lt.version} refuses the algorithm that stands in its table for "
                f"{wanted}; remove the table, and run `neox tune` again"
            )
        return problem, algorithm


def described(
    kind: Kind, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None
) -> Gemm | None:
    """As the table names it; None for a format that none is tuned for."""
    if first.dtype not in DTYPES:
        return None
    m, other = first.shape
    n, k = (second.shape[0], other) if kind == "forward" else (other, second.shape[1])
    return Gemm(kind=kind, m=m, n=n, k=k, dtype=DTYPES[first.dtype], biased=bias is not None)


def _fit(*tensors: torch.Tensor | None) -> bool:
    return all(
        one is None or (one.is_contiguous() and one.data_ptr() % ALIGNMENT == 0) for one in tensors
    )
