"""cuBLASLt by ctypes: a matrix product by an algorithm of one's own choice.

torch asks the library's heuristic and takes its first answer. Names and numbers are those of
cublasLt.h (https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api).
"""

import ctypes
from collections.abc import Iterator
from typing import NamedTuple

import torch

from neox.kernels.gemm import Gemm
from neox.ops.library import loaded

WORKSPACE = 32 << 20  # bytes at most, as torch gives on Hopper
ALIGNMENT = 256  # bytes, of operands and bias: what the heuristic counts on unless told less
_COMPUTE_32F, _R_32F = 68, 0
_DTYPES = {"bfloat16": 14, "float16": 2}
_TRANSPOSE_A, _TRANSPOSE_B, _EPILOGUE, _BIAS_POINTER = 3, 4, 7, 8  # cublasLtMatmulDescAttributes_t
_EPILOGUE_BIAS = 4
_MAX_WORKSPACE = 1  # cublasLtMatmulPreferenceAttributes_t
_ID, _TILE, _CUSTOM = 0, 1, 5  # cublasLtMatmulAlgoConfigAttributes_t
_CAP_TILES, _CAP_CUSTOM = 6, 7  # cublasLtMatmulAlgoCapAttributes_t
_MOST_TILES = 2048


class LtError(RuntimeError):
    """The library refused; the message says what."""


class Algorithm(NamedTuple):
    data: bytes  # cublasLtMatmulAlgo_t
    workspace: int  # bytes


class Variant(NamedTuple):
    """What tells the algorithms of a family apart."""

    family: int
    tile: int
    custom: int


class _Result(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("status", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )

    def taken(self) -> Algorithm:
        return Algorithm(bytes(self.algorithm), self.workspace)


class CublasLt:
    """The library that torch loaded, with a handle for the current device."""

    def __init__(self) -> None:
        """Raises LtError where torch brought no cuBLASLt."""
        path = loaded("libcublasLt.so")
        if path is None:
            raise LtError("torch has loaded no cuBLASLt")
        self.functions = ctypes.CDLL(path)
        self.functions.cublasLtGetVersion.restype = ctypes.c_size_t
        self.version: int = self.functions.cublasLtGetVersion()
        self.handle = self.made("cublasLtCreate")

    def made(self, function: str, *arguments: object) -> ctypes.c_void_p:
        """What a `create` function puts where its first argument points."""
        made = ctypes.c_void_p()
        self.call(function, ctypes.byref(made), *arguments)
        return made

    def call(self, function: str, *arguments: object) -> None:
        status = getattr(self.functions, function)(*arguments)
        if status:
            raise LtError(f"{function} of cuBLASLt {self.version}: status {status}")

    def variant(self, algorithm: Algorithm) -> Variant:
        return Variant(*(self._configured(algorithm, name) for name in (_ID, _TILE, _CUSTOM)))

    def variants(self, algorithm: Algorithm) -> Iterator[Variant]:
        """All of its family, whether or not they can do a given product."""
        family = self._configured(algorithm, _ID)
        (most,) = self._capable(algorithm, _CAP_CUSTOM, 1)
        for tile in self._capable(algorithm, _CAP_TILES, _MOST_TILES):
            for custom in range(most + 1):
                yield Variant(family, tile, custom)

    def changed(self, algorithm: Algorithm, variant: Variant) -> bytes | None:
        """The algorithm as another variant of its family; None where it has none such."""
        changed = ctypes.create_string_buffer(algorithm.data, len(algorithm.data))
        for attribute, number in ((_TILE, variant.tile), (_CUSTOM, variant.custom)):
            value = ctypes.c_uint32(number)
            if self.functions.cublasLtMatmulAlgoConfigSetAttribute(
                changed, attribute, ctypes.byref(value), ctypes.sizeof(value)
            ):
                return None
        return changed.raw

    def _configured(self, algorithm: Algorithm, attribute: int) -> int:
        value, written = ctypes.c_uint32(), ctypes.c_size_t()
        self.call(
            "cublasLtMatmulAlgoConfigGetAttribute", algorithm.data, attribute,
            ctypes.byref(value), ctypes.sizeof(value), ctypes.byref(written),
        )  # fmt: skip
        return value.value

    def _capable(self, algorithm: Algorithm, attribute: int, most: int) -> list[int]:
        values, written = (ctypes.c_uint32 * most)(), ctypes.c_size_t()
        self.call(
            "cublasLtMatmulAlgoCapGetAttribute", algorithm.data, attribute,
            values, ctypes.sizeof(values), ctypes.byref(written),
        )  # fmt: skip
        return values[: written.value // ctypes.sizeof(ctypes.c_uint32)]


class Problem:
    """One product, described to the library; `neox.ops.gemm` says what its operands are.

    cuBLASLt counts in columns: a row-major [r, c] is its c x r, so it is asked for the transposed
    result, and the operands change sides.
    """

    def __init__(self, lt: CublasLt, gemm: Gemm) -> None:
        """Raises LtError for a format that it does not have here."""
        self._lt, self.gemm = lt, gemm
        first, second, out = (_layout(lt, shape, gemm.dtype) for shape in gemm.shapes)
        self._layouts = (second, first, out, out)
        self._description = lt.made("cublasLtMatmulDescCreate", _COMPUTE_32F, _R_32F)
        self._describe(_TRANSPOSE_A, ctypes.c_int32(gemm.kind == "forward"))
        self._describe(_TRANSPOSE_B, ctypes.c_int32(gemm.kind == "wgrad"))
        if gemm.biased:
            self._describe(_EPILOGUE, ctypes.c_uint32(_EPILOGUE_BIAS))

    def named(self, most: int) -> list[Algorithm]:
        """What the library's heuristic would take, the best first."""
        preference = self._lt.made("cublasLtMatmulPreferenceCreate")
        results, found, value = (_Result * most)(), ctypes.c_int(), ctypes.c_size_t(WORKSPACE)
        self._lt.call(
            "cublasLtMatmulPreferenceSetAttribute",
            preference, _MAX_WORKSPACE, ctypes.byref(value), ctypes.sizeof(value),
        )  # fmt: skip
        try:
            self._lt.call(
                "cublasLtMatmulAlgoGetHeuristic", self._lt.handle, self._description,
                *self._layouts, preference, most, results, ctypes.byref(found),
            )  # fmt: skip
        finally:
            self._lt.call("cublasLtMatmulPreferenceDestroy", preference)
        return [one.taken() for one in results[: found.value] if one.status == 0]

    def checked(self, data: bytes) -> Algorithm | None:
        """The algorithm with the workspace that it needs; None where it cannot do this."""
        result = _Result()
        if self._lt.functions.cublasLtMatmulAlgoCheck(
            self._lt.handle, self._description, *self._layouts, data, ctypes.byref(result)
        ):
            return None
        if result.status or result.workspace > WORKSPACE:
            return None
        return Algorithm(data, result.workspace)

    def run(
        self,
        algorithm: Algorithm,
        first: torch.Tensor,
        second: torch.Tensor,
        out: torch.Tensor,
        bias: torch.Tensor | None = None,
    ) -> None:
        """Enqueue it on the current stream. Raises LtError."""
        if bias is not None:  # nobody else runs this very product meanwhile: one model, one stream
            self._describe(_BIAS_POINTER, ctypes.c_uint64(bias.data_ptr()))
        size = algorithm.workspace
        # the allocator may give it away as soon as the product is enqueued
        scratch = torch.empty(size, dtype=torch.uint8, device=out.device) if size else None
        a, b, c, d = self._layouts
        there = ctypes.c_void_p(out.data_ptr())
        self._lt.call(
            "cublasLtMatmul", self._lt.handle, self._description,
            _ONE, ctypes.c_void_p(second.data_ptr()), a, ctypes.c_void_p(first.data_ptr()), b,
            _ZERO, there, c, there, d, algorithm.data,
            None if scratch is None else ctypes.c_void_p(scratch.data_ptr()),
            ctypes.c_size_t(size),
            ctypes.c_void_p(torch.cuda.current_stream(out.device).cuda_stream),
        )  # fmt: skip

    def _describe(
        self, attribute: int, value: ctypes.c_int32 | ctypes.c_uint32 | ctypes.c_uint64
    ) -> None:
        self._lt.call(
            "cublasLtMatmulDescSetAttribute",
            self._description, attribute, ctypes.byref(value), ctypes.sizeof(value),
        )  # fmt: skip


_ONE, _ZERO = ctypes.byref(ctypes.c_float(1.0)), ctypes.byref(ctypes.c_float(0.0))


def _layout(lt: CublasLt, shape: tuple[int, int], dtype: str) -> ctypes.c_void_p:
    rows, columns = shape
    return lt.made(
        "cublasLtMatrixLayoutCreate",
        _DTYPES[dtype], ctypes.c_uint64(columns), ctypes.c_uint64(rows), ctypes.c_int64(columns),
    )  # fmt: skip
