"""The parts of a transformer layer that hold parameters.

Parameters are left as they lie in memory: `neox.models.init` or a checkpoint fills them, so that
a large model is not drawn twice and can be built on the meta device.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import nn

from neox.models.cache import KeyValueCache
from neox.models.spec import ModelSpec
from neox.ops.attention import attention
from neox.ops.embedding import embedding
from neox.ops.feed_forward import feed_forward, kernel_fits
from neox.ops.fp8 import MULTIPLE, Recipe, fp8_linear
from neox.ops.gelu import bias_gelu
from neox.ops.gemm import linear
from neox.ops.residual import Added, residual_layer_norms
from neox.ops.rotary import Rotation, split_heads
from neox.ops.self_attention import self_attention


class Linear(nn.Linear):
    """y = x W^T + b with W [out, in]; in fp8 where `compute_in_fp8` says so."""

    recipe: Recipe | None = None

    def reset_parameters(self) -> None:
        """Nothing: see the module's docstring."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.product(x, self.bias)

    def added(self, x: torch.Tensor) -> Added:
        """A part of the residual sum, which gives the bias its gradient."""
        return Added(self.unrecorded(x), self.bias)

    def unrecorded(self, x: torch.Tensor) -> torch.Tensor:
        """With the bias, whose gradient another pass makes."""
        return self.product(x, None if self.bias is None else self.bias.detach())

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """With another bias than its own; a few rows (of a generation) do not pay in fp8."""
        rows = x.numel() // x.shape[-1]
        if self.recipe is None or rows % MULTIPLE:
            return linear(x, self.weight, bias)
        return fp8_linear(x, self.weight, bias, self.recipe)


def compute_in_fp8(model: nn.Module, names: Collection[str], recipe: Recipe) -> None:
    """The linear layers called so (query_key_value, dense, linear1, linear2) follow `recipe`."""
    for path, module in model.named_modules():
        if isinstance(module, Linear) and path.rpartition(".")[2] in names:
            module.recipe = recipe


class Embedding(nn.Embedding):
    """A row of W [vocab, hidden] for each token."""

    def reset_parameters(self) -> None:
        """Nothing: see the module's docstring."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return embedding(tokens, self.weight)


class LayerNorm(nn.Module):
    """The parameters of a norm; `Residual.normed` applies them."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(spec.hidden_size))
        self.bias = nn.Parameter(torch.empty(spec.hidden_size))
        self.epsilon = spec.norm_epsilon


class Residual(NamedTuple):
    """The residual stream [b, s, h] as a sum not made yet: the next norm makes it in its pass."""

    x: torch.Tensor
    added: tuple[Added, ...] = ()

    def total(self) -> torch.Tensor:
        return residual_layer_norms(self.x, self.added, (), 0.0)[0]

    def normed(self, *norms: LayerNorm) -> tuple[torch.Tensor, ...]:
        """The sum, and what each norm makes of it."""
        pairs = [(norm.weight, norm.bias) for norm in norms]
        return residual_layer_norms(self.x, self.added, pairs, norms[0].epsilon)


class Context:
    """What every layer of one forward pass shares: rotation, and the past of a generation."""

    def __init__(
        self,
        rotation: Rotation | None,
        cache: KeyValueCache | None = None,
        positions: torch.Tensor | None = None,
        visible: torch.Tensor | None = None,
    ) -> None:
        self.rotation = rotation  # cos, sin [b or 1, s, rotary_dims / 2]; None: no positions
        self.cache = cache
        self.positions = positions  # [b, s], with a cache
        self.visible = visible  # as `attention` wants it; None: all that came before
        if cache is not None and positions is not None:
            self.visible = cache.visible(positions)


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

    def forward(self, x: torch.Tensor, context: Context) -> Added:
        """x [b, s, h] -> [b, s, h]."""
        batch, length, hidden = x.shape
        # what splits the heads gives the bias its gradient
        mixed = self.query_key_value.unrecorded(x)
        mixed = mixed.view(batch, length, self.heads, 3, self.head_dim)
        return self.dense.added(self._seen(mixed, context).reshape(batch, length, hidden))

    def _seen(self, mixed: torch.Tensor, context: Context) -> torch.Tensor:
        """[b, s, heads, 3, d] -> [b, s, heads, d]."""
        bias = self.query_key_value.bias
        dropout = self.dropout if self.training else 0.0
        if context.cache is None and context.visible is None and not dropout:
            return self_attention(mixed, bias, context.rotation)
        query, key, value = split_heads(mixed, bias, context.rotation)
        if context.cache is not None and context.positions is not None:
            key, value = context.cache.extend(self.index, context.positions, key, value)
        seen = attention(query, key, value, visible=context.visible, dropout=dropout)
        return seen.transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.linear1 = Linear(spec.hidden_size, spec.ffn_size, bias=spec.mlp_bias)
        self.linear2 = Linear(spec.ffn_size, spec.hidden_size, bias=spec.mlp_bias)
        self.activation = spec.activation

    def forward(self, x: torch.Tensor) -> Added:
        up, down = self.linear1, self.linear2
        if up.recipe is down.recipe is None and kernel_fits(x, up.weight, up.bias, down.weight):
            bias = None if down.bias is None else down.bias.detach()  # as in `Linear.added`
            parameters = (up.weight, up.bias, down.weight, bias)
            return Added(feed_forward(x, *parameters, self.activation), down.bias)
        wide = up.product(x, None)  # its bias joins it in the activation's pass
        return down.added(bias_gelu(wide, up.bias, self.activation))


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

    def forward(self, stream: Residual, context: Context) -> Residual:
        first, second = self.input_layernorm, self.post_attention_layernorm
        if second is None:
            x, normal = stream.normed(first)
            return self._side_by_side(x, normal, normal, context)
        if self.parallel_residual:
            x, normal, other = stream.normed(first, second)
            return self._side_by_side(x, normal, other, context)
        x, normal = stream.normed(first)
        seen = self._dropped(self.attention(normal, context))
        x, normal = Residual(x, (seen,)).normed(second)
        return Residual(x, (self._dropped(self.mlp(normal)),))

    def _side_by_side(
        self, x: torch.Tensor, normal: torch.Tensor, other: torch.Tensor, context: Context
    ) -> Residual:
        seen, thought = self.attention(normal, context), self.mlp(other)
        return Residual(x, (self._dropped(seen), self._dropped(thought)))

    def _dropped(self, added: Added) -> Added:
        if not (self.training and self.dropout.p):
            return added
        return Added(self.dropout(added.recorded()))
