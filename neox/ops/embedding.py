"""Rows of a table, and the table's gradient: always the same bits, at the speed of memory."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from neox.ops.library import Kernel, Launch, define, installed, wide


def embedding(tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """weight[tokens]; tokens [...] int64, weight [vocabulary, h]. torch.compile has its own."""
    if torch.compiler.is_compiling() or not installed("embedding_backward", weight):
        return F.embedding(tokens, weight)
    rows: torch.Tensor = _Embedding.apply(tokens, weight)  # type: ignore[no-untyped-call]
    return rows


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(tokens)
        ctx.vocabulary = weight.shape[0]
        return F.embedding(tokens, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[None, torch.Tensor]:
        (tokens,) = ctx.saved_tensors
        ascending, place = tokens.flatten().sort(stable=True)
        rows = dy.reshape(-1, dy.shape[-1])
        return None, torch.ops.neox.embedding_backward(rows, ascending, place, ctx.vocabulary)


# --- the operation -------------------------------------------------------------------------------


def embedding_backward_reference(
    dy: torch.Tensor, ascending: torch.Tensor, place: torch.Tensor, vocabulary: int
) -> torch.Tensor:
    total = wide(dy).new_zeros(vocabulary, dy.shape[1])
    return total.index_add_(0, ascending, wide(dy)[place]).to(dy.dtype)


def _fake(
    dy: torch.Tensor, ascending: torch.Tensor, place: torch.Tensor, vocabulary: int
) -> torch.Tensor:
    return dy.new_empty(vocabulary, dy.shape[1])


def _kernel(
    launch: Launch,
    dy: torch.Tensor,
    ascending: torch.Tensor,
    place: torch.Tensor,
    vocabulary: int,
) -> torch.Tensor:
    out = _fake(dy, ascending, place, vocabulary)
    launch("embedding_backward", dy.contiguous(), ascending, place, out)
    return out


define(
    "embedding_backward",
    "(Tensor dy, Tensor ascending, Tensor place, int vocabulary) -> Tensor",
    reference=embedding_backward_reference,
    fake=_fake,
)
KERNELS: dict[str, Kernel] = {"embedding_backward": _kernel}
