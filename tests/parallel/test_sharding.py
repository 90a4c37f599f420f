"""The sharding table: every parameter has a row, shards tile the whole, heads stay whole."""

import pytest
import torch
from torch.nn import functional as F

from neox.models.shapes import parameter_shapes
from neox.parallel.sharding import (
    Box,
    ShardingError,
    check_divisible,
    shard_box,
    sharding_of,
    whole,
)
from tests.models.variants import PLAIN, VARIANTS


def part(tensor: torch.Tensor, box: Box) -> torch.Tensor:
    return tensor[tuple(slice(a, b) for a, b in zip(box.starts, box.stops, strict=True))]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())
def test_shards_tile_every_parameter(spec: object, size: int) -> None:
    for name, shape in parameter_shapes(spec).items():  # type: ignore[arg-type]
        count = torch.zeros(shape)
        for rank in range(size):
            box = shard_box(name, shape, rank, size)
            part(count, box).add_(1)
        copies = size if sharding_of(name) == "replicated" else 1
        assert bool((count == copies).all()), name


def test_column_then_row_sums_to_the_whole() -> None:
    """The reason for the table: y = W2 gelu(W1 x), each rank its columns, then its rows."""
    shapes = parameter_shapes(PLAIN)
    first, second = "layers.0.mlp.linear1.weight", "layers.0.mlp.linear2.weight"
    generator = torch.Generator().manual_seed(0)
    w1, w2 = (torch.randn(shapes[name], generator=generator) for name in (first, second))
    x = torch.randn(5, 32, generator=generator)
    total = sum(
        F.gelu(x @ part(w1, shard_box(first, shapes[first], rank, 4)).T)
        @ part(w2, shard_box(second, shapes[second], rank, 4)).T
        for rank in range(4)
    )
    torch.testing.assert_close(total, F.gelu(x @ w1.T) @ w2.T)


def test_a_rank_holds_whole_heads_of_all_three() -> None:
    name = "layers.1.attention.query_key_value.weight"
    rows = torch.arange(96).reshape(4, 3, 8)  # [head, {q, k, v}, head_dim]
    box = shard_box(name, (96, 32), 1, 2)
    assert list(range(box.starts[0], box.stops[0])) == rows[2:].flatten().tolist()
    assert box.shape == (48, 32)


def test_what_does_not_divide_is_named() -> None:
    check_divisible(PLAIN, 4)
    with pytest.raises(ShardingError, match="4 heads do not divide by 3 ranks"):
        check_divisible(PLAIN, 3)
    with pytest.raises(ShardingError, match=r"embedding\.weight: 50257"):
        shard_box("embedding.weight", (50257, 64), 0, 2)
    with pytest.raises(ShardingError, match="q_proj is not a parameter"):
        sharding_of("layers.0.q_proj")
    assert whole((3, 4)) == Box(starts=(0, 0), stops=(3, 4))
