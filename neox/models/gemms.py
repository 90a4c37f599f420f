"""The matrix products of a training step. Imports no torch."""

from collections.abc import Collection, Iterator

from neox.kernels.gemm import KINDS, Gemm
from neox.models.shapes import layer_shapes
from neox.models.spec import ModelSpec
from neox.ops.chunks import chunk_rows

JOINS_ITS_ACTIVATION = "linear1"  # the layer whose bias is added in the activation's pass
HALF = 2  # bytes of the formats that products are tuned in


def training_gemms(
    spec: ModelSpec, tokens: int, dtype: str, *, in_fp8: Collection[str] = ()
) -> Iterator[tuple[str, Gemm]]:
    """Those of each linear layer and of the head, for micro-batches of so many tokens.

    `in_fp8` names layers that compute otherwise.
    """
    for name, m, n, k, biased in _layers(spec, tokens, in_fp8):
        for kind in KINDS:
            forward = kind == "forward"
            yield name, Gemm(kind=kind, m=m, n=n, k=k, dtype=dtype, biased=forward and biased)


def _layers(
    spec: ModelSpec, tokens: int, in_fp8: Collection[str]
) -> Iterator[tuple[str, int, int, int, bool]]:
    shapes = layer_shapes(spec, 0)
    for path, shape in shapes.items():
        name = path.split(".")[-2]
        if len(shape) == 1 or name in in_fp8:
            continue
        outputs, inputs = shape
        biased = path.replace(".weight", ".bias") in shapes and name != JOINS_ITS_ACTIVATION
        yield name, tokens, outputs, inputs, biased
    rows = chunk_rows(tokens, spec.vocab_size, HALF)
    for m in dict.fromkeys((min(rows, tokens), tokens % rows or rows)):
        yield "head", m, spec.vocab_size, spec.hidden_size, False
