"""Where DeepSpeed 0.19 keeps reduced gradients and fp32 weights, by kind of its optimizer.

Nothing here imports DeepSpeed: these are views of the objects that it made.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from neox.parallel.mesh import Mesh
from neox.train.partitions import Partition, even_cut, partition
from neox.train.precision import Precision


class Zero(Protocol):
    """Where DeepSpeed keeps what we need, by kind of its optimizer."""

    disjoint: bool  # does each data rank hold other gradients?

    def gradients(self) -> list[torch.Tensor]:
        """Reduced, after the last backward pass of a step."""

    def masters(self) -> list[Partition]:
        """The fp32 weights that this rank updates."""

    def saved(self) -> list[Partition]:
        """The part of them that this rank saves."""

    def update(self) -> None:
        """Let the optimizer take its step; the model's weights follow, the gradients go."""

    def weights_changed(self) -> None:
        """Bring changed masters into the weights that the model computes with."""


class Zero0:
    """fp32, every rank updates everything."""

    disjoint = False

    def __init__(self, engine: Any, named: Mapping[str, nn.Parameter], mesh: Mesh) -> None:
        self._engine = engine
        self._named = named
        self._mesh = mesh

    def gradients(self) -> list[torch.Tensor]:
        return [p.grad for p in self._named.values() if p.grad is not None]

    def masters(self) -> list[Partition]:
        return [Partition(master=p, pieces=(even_cut(n, p, 0, 1),)) for n, p in self._named.items()]

    def saved(self) -> list[Partition]:
        rank, ranks = self._mesh.data_rank, self._mesh.data_size
        return [
            Partition(master=p, pieces=(even_cut(n, p, rank, ranks),))
            for n, p in self._named.items()
        ]

    def update(self) -> None:
        self._engine.step()

    def weights_changed(self) -> None:
        pass  # the masters are the weights


class Zero1:
    """DeepSpeed's stage_1_and_2.py: fp32 and fp16."""

    disjoint = True

    def __init__(self, engine: Any, named: Mapping[str, nn.Parameter], mesh: Mesh) -> None:
        self._engine = engine
        self._wrapped = wrapped = engine.optimizer
        self._partitions = _partitions(
            wrapped.bit16_groups,
            wrapped.bit16_groups_flat,
            wrapped.single_partition_of_fp32_groups,
            named,
            mesh,
        )

    def gradients(self) -> list[torch.Tensor]:
        return [g for group in self._wrapped.averaged_gradients.values() for g in group]

    def masters(self) -> list[Partition]:
        return self._partitions

    def saved(self) -> list[Partition]:
        return self._partitions

    def update(self) -> None:
        self._engine.step()

    def weights_changed(self) -> None:
        self._wrapped.update_lp_params()


class Bf16Zero1(Zero1):
    """DeepSpeed's bf16_optimizer.py: bf16 with fp32 accumulation."""

    def __init__(self, engine: Any, named: Mapping[str, nn.Parameter], mesh: Mesh) -> None:
        self._wrapped = wrapped = engine.optimizer
        self._partitions = _partitions(
            wrapped.bf16_groups,
            wrapped.bf16_groups_flat,
            wrapped.fp32_groups_flat_partition,
            named,
            mesh,
        )

    def gradients(self) -> list[torch.Tensor]:
        return list(self._wrapped.fp32_groups_gradient_flat_partition)

    def update(self) -> None:
        """What DeepSpeed's own step does, without its norm of the gradients: it is ours already,
        and to read it on the host every rank would wait for the GPU.
        """
        masters = self._wrapped.fp32_groups_flat_partition
        for master, gradient in zip(masters, self.gradients(), strict=True):
            master.grad = gradient
        self._wrapped.optimizer.step()
        self._wrapped.update_lp_params()
        self._wrapped.zero_grad()


def _partitions(
    groups: Sequence[Sequence[torch.Tensor]],
    flats: Sequence[torch.Tensor],
    masters: Sequence[torch.Tensor],
    named: Mapping[str, nn.Parameter],
    mesh: Mesh,
) -> list[Partition]:
    result = []
    for group, flat, master in zip(groups, flats, masters, strict=True):
        members = {id(p) for p in group}
        inside = {name: p for name, p in named.items() if id(p) in members}
        assert len(inside) == len(group), "DeepSpeed replaced a parameter"
        result.append(partition(flat, master, inside, mesh.data_rank))
    return result


def zero_of(
    engine: Any, precision: Precision, stage: int, named: Mapping[str, nn.Parameter], mesh: Mesh
) -> Zero:
    """The view of DeepSpeed's engine and of its optimizer around ours."""
    if stage == 0:
        return Zero0(engine, named, mesh)
    kind = Bf16Zero1 if precision == "bf16" else Zero1
    return kind(engine, named, mesh)
