"""The matrix products of linear layers, and what tuning found for them, as plain values."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["forward", "dgrad", "wgrad"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Shape = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Gemm:
    """A product of the linear layer y [m, n] = x [m, k] W^T + b, W [n, k], or of its gradients.

    dgrad is dx = dy W, wgrad is dW = dy^T x; m, n and k are the layer's in all three.
    """

    kind: Kind
    m: int
    n: int
    k: int
    dtype: str  # bfloat16 or float16
    biased: bool = False  # forward only: the bias joins in the same pass

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Of both operands and the result: (x, W, y), (dy, W, dx) or (dy, x, dW)."""
        x, weight, y = (self.m, self.k), (self.n, self.k), (self.m, self.n)
        match self.kind:
            case "forward":
                return x, weight, y
            case "dgrad":
                return y, weight, x
            case "wgrad":
                return y, x, weight

    @property
    def flops(self) -> int:
        return 2 * self.m * self.n * self.k


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was found for a product."""

    algorithm: bytes | None  # cublasLtMatmulAlgo_t; None: none is faster than torch's choice
    seconds: float  # of the algorithm, or of the best that is not faster
    seconds_of_torch: float

    @property
    def gain(self) -> float:
        """The share of torch's time that is saved."""
        return 1 - self.seconds / self.seconds_of_torch if self.algorithm else 0.0
