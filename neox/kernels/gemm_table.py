"""Which algorithm multiplies which matrices fastest on a kind of GPU, as `neox tune` measured it.

The store holds one file for each kind of GPU and version of cuBLASLt, because an algorithm is 64
bytes that mean nothing to another version. Entries are added one by one, each by a rename of the
whole file: two tuners at once may lose each other's last entry, and never a reader.
"""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from neox.kernels.errors import KernelError

ALGORITHM_BYTES = 64  # sizeof(cublasLtMatmulAlgo_t)
Kind = Literal["forward", "dgrad", "wgrad"]
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


def table_path(root: Path, gpu: str, version: int) -> Path:
    """`gpu` as its driver names it, `version` as cublasLtGetVersion does."""
    return root / f"gemms-{re.sub('[^A-Za-z0-9]+', '-', gpu)}-{version}.json"


def tables(root: Path) -> list[Path]:
    """Those of every kind of GPU and version."""
    return sorted(root.glob("gemms-*.json"))


def read_table(path: Path) -> dict[Gemm, Tuned]:
    """Empty where there is no file. Raises KernelError for one that holds something else."""
    try:
        rows = json.loads(path.read_text())
        return dict(_entry(row) for row in rows)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise KernelError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise KernelError(f"{path}: is damaged; remove it and run `neox tune` again") from None


def add_to_table(path: Path, found: Mapping[Gemm, Tuned]) -> None:
    """Raises KernelError where the file cannot be read or written; it is then as it was."""
    rows = [_row(gemm, tuned) for gemm, tuned in {**read_table(path), **found}.items()]
    draft = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise KernelError(f"{path}: {error.strerror}; choose another store with --into") from None


def _row(gemm: Gemm, tuned: Tuned) -> dict[str, object]:
    algorithm = None if tuned.algorithm is None else tuned.algorithm.hex()
    return asdict(gemm) | asdict(tuned) | {"algorithm": algorithm}


def _entry(row: dict[str, object]) -> tuple[Gemm, Tuned]:
    of_gemm = {name: row.pop(name) for name in Gemm.__dataclass_fields__}
    if row["algorithm"] is not None:
        row["algorithm"] = algorithm = bytes.fromhex(str(row["algorithm"]))
        if len(algorithm) != ALGORITHM_BYTES:
            raise ValueError(algorithm)
    return Gemm(**of_gemm), Tuned(**row)  # type: ignore[arg-type]
