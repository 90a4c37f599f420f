"""Fragments of a small random model, cut as different geometries cut them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch

from neox.checkpoint.fragment import Box, Fragment, Kind, whole
from neox.checkpoint.manifest import About
from neox.checkpoint.store import CheckpointWriter
from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec
from neox.parallel.sharding import shard_box

SPEC = ModelSpec(
    num_layers=2,
    hidden_size=16,
    num_attention_heads=4,
    ffn_size=64,
    vocab_size=32,
    max_positions=16,
    rotary_dims=2,
    parallel_residual=True,
    tied_head=False,
)
KINDS: tuple[Kind, ...] = ("weight", "exp_avg", "exp_avg_sq")
ABOUT = About(
    model={"num_layers": 2},
    configs={"a.yml": "x: 1\n"},
    geometry={"data": 1},
    versions={"neox": "0"},
)
Tensors = dict[tuple[str, Kind], torch.Tensor]


def random_tensors(seed: int, spec: ModelSpec = SPEC) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    return {
        (name, kind): torch.randn(shape, generator=generator)
        for name, shape in parameter_shapes(spec).items()
        for kind in KINDS
    }


def cut(tensor: torch.Tensor, box: Box) -> torch.Tensor:
    """What a box holds, flat and row-major, by plain slicing: the oracle."""
    return tensor[tuple(slice(a, b) for a, b in zip(box.starts, box.stops, strict=True))].reshape(
        -1
    )


def rank_fragments(tensors: Tensors, *, data: int, tensor: int, rank: int) -> Iterator[Fragment]:
    """The share of `rank` (tensor rank fastest): tp boxes, each cut flat over the data ranks."""
    data_rank, tensor_rank = divmod(rank, tensor)
    for (name, kind), value in tensors.items():
        shape = tuple(value.shape)
        box = shard_box(name, shape, tensor_rank, tensor)
        if box == whole(shape) and tensor_rank > 0:
            continue
        flat = cut(value, box)
        start, stop = (len(flat) * each // data for each in (data_rank, data_rank + 1))
        yield Fragment(
            name=name, kind=kind, shape=shape, box=box, start=start, data=flat[start:stop]
        )


def save_all(
    root: Path, step: int, tensors: Tensors, *, data: int = 1, tensor: int = 1, attempt: str = "a"
) -> None:
    """All ranks of a geometry, one after the other in this process; rank 0 last."""
    world = data * tensor
    writers = [
        CheckpointWriter(root, rank=rank, world_size=world, attempt=attempt, about=ABOUT)
        for rank in range(world)
    ]
    for rank, writer in reversed(list(enumerate(writers))):
        share = rank_fragments(tensors, data=data, tensor=tensor, rank=rank)
        writer.save(step, share, state={"samples": step * 8}, rank_state={"rank": rank})
    for writer in writers:
        writer.publish()
    for writer in writers:
        writer.wait()


def all_boxes(tensors: Tensors, size: int) -> Iterator[tuple[str, Kind, Box]]:
    for (name, kind), rank in itertools.product(tensors, range(size)):
        yield name, kind, shard_box(name, tuple(tensors[name, kind].shape), rank, size)
