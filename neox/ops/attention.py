"""Causal attention, and the plain arithmetic that it must equal."""

import math

import torch
from torch.nn import functional as F


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    visible: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """softmax(q k^T / sqrt(head_dim)) v, all tensors [b, heads, length, head_dim].

    Without `visible` queries and keys are the same positions and each sees itself and what came
    before. `visible` [b, 1, queries, keys] (True where seen, or `scores` of that) replaces that
    rule.
    """
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, dropout_p=dropout, is_causal=visible is None
    )


def within_documents(documents: torch.Tensor) -> torch.Tensor:
    """What each token of a row sees [b, 1, s, s]: itself, and what came before in its document.

    `documents` [b, s] numbers the documents that lie in a row, one after the other.
    """
    length = documents.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & before)[:, None]


def scores(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where seen and -inf elsewhere, to be added to q k^T.

    Attention makes this of a boolean mask itself, but anew in every layer, and keeps each of them
    for the backward pass: b x s^2 numbers a layer.
    """
    nothing = torch.zeros((), dtype=dtype, device=visible.device)
    return torch.where(visible, nothing, -math.inf)


def attention_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    visible: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same without dropout, one formula a line, scores in fp32."""
    if visible is None:
        length = query.shape[-2]
        visible = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~visible, -math.inf).softmax(dim=-1)
    return (weights @ value.float()).to(query.dtype)
