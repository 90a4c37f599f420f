"""One small spec per way in which the family differs."""

from dataclasses import replace

from neox.models.spec import ModelSpec

PLAIN = ModelSpec(
    num_layers=3,
    hidden_size=32,
    num_attention_heads=4,
    ffn_size=96,
    vocab_size=64,
    max_positions=24,
    rotary_dims=4,
)
VARIANTS = {
    "sequential, tied": PLAIN,
    "parallel, untied": replace(PLAIN, parallel_residual=True, tied_head=False),
    "shared norm": replace(PLAIN, parallel_residual=True, shared_norm=True),
    "no biases": replace(PLAIN, attention_bias=False, mlp_bias=False),
    "no positions": replace(PLAIN, rotary_dims=0),
    "tanh, full rotary": replace(PLAIN, activation="gelu_tanh", rotary_dims=8),
}
