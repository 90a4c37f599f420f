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
from dataclasses import asdict
from pathlib import Path

from neox.kernels.errors import KernelError
from neox.kernels.gemm import Gemm, Tuned

ALGORITHM_BYTES = 64  # sizeof(cublasLtMatmulAlgo_t)


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
