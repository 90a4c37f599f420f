"""The parts of a transformer layer that hold parameters.

Parameters are left as they lie in memory: `neox.models.init` or a checkpoint fills them, so that
a large model is not drawn twice and can be built on the meta device.
"""

import torch
from torch import nn

from neox.models.cache import KeyValueCache
from neox.models.spec import ModelSpec
from neox.ops.attention import attention
from neox.ops.gelu import gelu
from neox.ops.layer_norm import layer_norm
from neox.ops.rotary import rotate


class Linear(nn.Linear):
    """y = x W^T + b with W [out, in]."""

    def reset_parameters(self) -> None:
        """Nothing: see the module's docstring."""


class Embedding(nn.Embedding):
    """A row of W [vocab, hidden] for each token."""

    def reset_parameters(self) -> None:
        """Nothing: see the module's docstring."""


class LayerNorm(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(spec.hidden_size))
        self.bias = nn.Parameter(torch.empty(spec.hidden_size))
        self.epsilon = spec.norm_epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, self.weight, self.bias, self.epsilon)


class Context:
    """What every layer of one forward pass shares: rotation, and the past of a generation."""

    def __init__(
        self,
        rotation: tuple[torch.Tensor, torch.Tensor] | None,
        cache: KeyValueCache | None = None,
        positions: torch.Tensor | None = None,
    ) -> None:
        self.rotation = rotation  # cos, sin [b or 1, s, 1, 1, rotary_dims / 2]; None: no positions
        self.cache = cache
        self.positions = positions  # [b, s], with a cache
        self.visible = None if cache is None or positions is None else cache.visible(positions)


class Attention(nn.Module):
    """Multi-head attention; rows of query_key_value are ordered [head, {q, k, v}, head_dim]."""

    def __init__(self, spec: ModelSpec, index: int) -> None:
        super().__init__()
        hidden = spec.hidden_size
        self.query_key_value = Linear(hidden, 3 * hidden, bias=spec.attention_bias)
        self.dense = Linear(hidden, hidden, bias=spec.attention_bias)
        self.index = index
        self.heads = spec.num_attention_heads
        self.head_dim = spec.head_dim
        self.dropout = spec.attention_dropout

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x [b, s, h] -> [b, s, h]."""
        batch, length, hidden = x.shape
        mixed = self.query_key_value(x).view(batch, length, self.heads, 3, self.head_dim)
        query_key, value = mixed.split_with_sizes((2, 1), dim=3)
        if context.rotation is not None:
            query_key = rotate(query_key, *context.rotation)
        query, key = (part.transpose(1, 2) for part in query_key.unbind(dim=3))
        value = value.squeeze(3).transpose(1, 2)  # all [b, heads, s, head_dim]
        if context.cache is not None and context.positions is not None:
            key, value = context.cache.extend(self.index, context.positions, key, value)
        dropout = self.dropout if self.training else 0.0
        seen = attention(query, key, value, visible=context.visible, dropout=dropout)
        output: torch.Tensor = self.dense(seen.transpose(1, 2).reshape(batch, length, hidden))
        return output


class FeedForward(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.linear1 = Linear(spec.hidden_size, spec.ffn_size, bias=spec.mlp_bias)
        self.linear2 = Linear(spec.ffn_size, spec.hidden_size, bias=spec.mlp_bias)
        self.activation = spec.activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.linear2(gelu(self.linear1(x), self.activation))
        return output


class Layer(nn.Module):
    """One block. Sequential: x += attn(ln1 x); x += mlp(ln2 x). Parallel: both from the same x."""

    def __init__(self, spec: ModelSpec, index: int) -> None:
        super().__init__()
        assert spec.parallel_residual or not spec.shared_norm
        self.input_layernorm = LayerNorm(spec)
        self.attention = Attention(spec, index)
        self.post_attention_layernorm = None if spec.shared_norm else LayerNorm(spec)
        self.mlp = FeedForward(spec)
        self.dropout = nn.Dropout(spec.hidden_dropout)
        self.parallel_residual = spec.parallel_residual

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x [b, s, h] -> [b, s, h]."""
        normal = self.input_layernorm(x)
        seen: torch.Tensor = self.dropout(self.attention(normal, context))
        if not self.parallel_residual:
            x = x + seen
        if self.post_attention_layernorm is not None:
            normal = self.post_attention_layernorm(x)
        thought: torch.Tensor = self.dropout(self.mlp(normal))
        return thought + seen + x if self.parallel_residual else thought + x
