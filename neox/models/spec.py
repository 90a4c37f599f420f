"""What a model is, as plain numbers: the plan counts with it, the engine builds from it.

Imports nothing but the standard library, because a login node has no torch.
"""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["gelu_exact", "gelu_tanh"]
InitMethod = Literal[
    "normal",
    "scaled_normal",
    "orthogonal",
    "scaled_orthogonal",
    "xavier_uniform",
    "xavier_normal",
    "wang_init",
    "small_init",
    "single_residual_scaled_normal",
]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A decoder of the GPT-NeoX family. Widths are of the whole model, not of a shard."""

    num_layers: int
    hidden_size: int
    num_attention_heads: int
    ffn_size: int  # inner width of the feed-forward block
    vocab_size: int  # rows of the embedding, padding included
    max_positions: int  # longest sequence that the rotary table covers
    rotary_dims: int  # leading dims of each head that rotate; 0 for none, always even
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    activation: Activation = "gelu_exact"
    parallel_residual: bool = False  # x + attn(ln1 x) + mlp(ln2 x), instead of one after the other
    shared_norm: bool = False  # with parallel_residual: ln1 serves both branches (GPT-J)
    attention_bias: bool = True
    mlp_bias: bool = True
    tied_head: bool = True  # the output matrix is the embedding
    attention_dropout: float = 0.0
    hidden_dropout: float = 0.0
    init_method: InitMethod = "normal"
    output_init_method: InitMethod = "scaled_normal"  # attention.dense and mlp.linear2
    init_std: float = 0.02

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads
