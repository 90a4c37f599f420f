"""The output matrix and the loss in one, so that all logits never lie in memory at once.

The gradient is made together with the loss: a chunk of logits becomes, in place, their gradient,
and both products of the backward pass are done before the next chunk is computed.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from neox.ops.chunks import PARTS_AT_ONCE, chunk_rows
from neox.ops.cross_entropy import cross_entropy_
from neox.ops.gemm import gemm
from neox.ops.scaled_sum import added_up, scaled_sum


def linear_cross_entropy(
    hidden: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Sum over n of weights[n] x -log softmax(hidden[n] matrix^T)[targets[n]]: a scalar, fp32.

    hidden [n, h], matrix [vocab, h], targets [n] int64, weights [n] fp32 (no gradient for these).
    """
    total: torch.Tensor = _LinearCrossEntropy.apply(hidden, matrix, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        matrix: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_matrix: list[torch.Tensor] = []  # in parts
        losses = []
        for rows in _chunks(hidden, matrix):
            logits = gemm("forward", hidden[rows], matrix)
            each, _ = cross_entropy_(logits, targets[rows], weights[rows])
            losses.append((each * weights[rows]).sum())
            if of_hidden is not None:
                gemm("dgrad", logits, matrix, out=of_hidden[rows])
            if ctx.needs_input_grad[1]:
                if len(of_matrix) == PARTS_AT_ONCE:
                    of_matrix = [added_up(of_matrix)]
                of_matrix.append(gemm("wgrad", logits, hidden[rows]))
            del logits  # before the next chunk's are made
        ctx.save_for_backward(of_hidden, *of_matrix)
        ctx.dtype = matrix.dtype
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        of_hidden, *of_matrix = ctx.saved_tensors
        return (
            None if of_hidden is None else scaled_sum([of_hidden], gradient, of_hidden.dtype),
            scaled_sum(of_matrix, gradient, ctx.dtype) if of_matrix else None,
            None,
            None,
        )


def _chunks(hidden: torch.Tensor, matrix: torch.Tensor) -> list[slice]:
    rows = hidden.shape[0]
    size = chunk_rows(rows, matrix.shape[0], hidden.element_size())
    return [slice(at, min(at + size, rows)) for at in range(0, rows, size)]
