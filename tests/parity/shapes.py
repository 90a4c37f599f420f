"""Small members of the family, as Hugging Face configures them."""

from dataclasses import replace

from neox.models.spec import ModelSpec

BASE = ModelSpec(
    num_layers=2,
    hidden_size=64,
    num_attention_heads=4,
    ffn_size=256,
    vocab_size=96,
    max_positions=48,
    rotary_dims=4,
    parallel_residual=True,
    tied_head=False,
)
SPECS = {
    "pythia": BASE,
    "sequential": replace(BASE, parallel_residual=False),
    "rotary 0.5": replace(BASE, rotary_dims=8, rotary_base=1000.0),
    "rotary 1.0": replace(BASE, rotary_dims=16, parallel_residual=False),
    "rotary 24 of 80": replace(BASE, hidden_size=160, num_attention_heads=2, rotary_dims=24),
    "tanh": replace(BASE, activation="gelu_tanh"),
    "tied": replace(BASE, tied_head=True, parallel_residual=False, rotary_dims=16),
    "no attention bias": replace(BASE, attention_bias=False),
    "wide, narrow ffn, eps": replace(
        BASE, hidden_size=96, num_attention_heads=3, ffn_size=80, norm_epsilon=1e-3, num_layers=3
    ),
}
