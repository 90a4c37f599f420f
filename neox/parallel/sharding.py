"""The one sharding table of the GPT-NeoX family, and the boxes that it cuts.

Tensor parallelism, resharding and Hugging Face conversion all read this table. Imports no torch,
because the plan checks divisibility with it.
"""

import re
from dataclasses import dataclass
from typing import Literal

from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec

Sharding = Literal["vocab", "fused_qkv", "column", "row", "replicated"]

# Pattern of the logical name -> how tensor-parallel ranks share it. The first match counts.
TABLE: tuple[tuple[str, Sharding], ...] = (
    (r"(embedding|head)\.weight", "vocab"),
    (r"layers\.\d+\.attention\.query_key_value\.(weight|bias)", "fused_qkv"),
    (r"layers\.\d+\.mlp\.linear1\.(weight|bias)", "column"),
    (r"layers\.\d+\.(attention\.dense|mlp\.linear2)\.weight", "row"),
    # a row-parallel product is summed over ranks before its bias is added once
    (r"layers\.\d+\.(attention\.dense|mlp\.linear2)\.bias", "replicated"),
    (r"(layers\.\d+\.\w*layernorm|final_norm)\.(weight|bias)", "replicated"),
)

# The dimension that is cut. Query, key and value rows are ordered [head, {q, k, v}, head_dim], so
# an equal cut of dimension 0 gives each rank whole heads.
CUT_DIM: dict[Sharding, int | None] = {
    "vocab": 0,
    "fused_qkv": 0,
    "column": 0,
    "row": 1,
    "replicated": None,
}


class ShardingError(ValueError):
    """A tensor cannot be divided among the tensor-parallel ranks."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """The part [start, stop) per dimension of a tensor that a tensor-parallel shard holds."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(stop - start for start, stop in zip(self.starts, self.stops, strict=True))


def whole(shape: tuple[int, ...]) -> Box:
    return Box(starts=(0,) * len(shape), stops=shape)


def sharding_of(name: str) -> Sharding:
    """How the parameter with this logical name is shared."""
    for pattern, sharding in TABLE:
        if re.fullmatch(pattern, name):
            return sharding
    raise ShardingError(f"{name} is not a parameter of the GPT-NeoX family")


def shard_box(name: str, shape: tuple[int, ...], rank: int, size: int) -> Box:
    """What tensor-parallel rank `rank` of `size` holds of the whole tensor.

    Raises ShardingError when the dimension does not divide; whether heads divide is
    `check_divisible`'s question, because a shape alone does not know them.
    """
    dim = CUT_DIM[sharding_of(name)]
    if dim is None:
        return whole(shape)
    if shape[dim] % size:
        raise ShardingError(f"{name}: {shape[dim]} rows or columns do not divide by {size} ranks")
    width = shape[dim] // size
    box = whole(shape)
    return Box(
        starts=(*box.starts[:dim], rank * width, *box.starts[dim + 1 :]),
        stops=(*box.stops[:dim], (rank + 1) * width, *box.stops[dim + 1 :]),
    )


def check_divisible(spec: ModelSpec, size: int) -> None:
    """Raises ShardingError naming the first width that `size` ranks cannot share."""
    if spec.num_attention_heads % size:
        raise ShardingError(f"{spec.num_attention_heads} heads do not divide by {size} ranks")
    for name, shape in parameter_shapes(spec).items():
        shard_box(name, shape, size - 1, size)
