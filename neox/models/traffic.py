"""Bytes that a training step must move past its matrix products, each stage in one pass.

Counted in rows of [tokens, hidden] in the model's format, reads and writes together. Imports no
torch, because a summary is read on a login node.
"""

from collections.abc import Mapping

from neox.models.count import parameters
from neox.models.spec import ModelSpec

FP32 = 4


def forward_rows(spec: ModelSpec) -> Mapping[str, float]:
    """Of one layer, by stage."""
    norms = 1 if spec.shared_norm else 2
    sums = 1 if spec.parallel_residual else 2
    wide = spec.ffn_size / spec.hidden_size
    return {
        "norms": norms + (1 if spec.parallel_residual else norms),  # each reads its x, writes one
        "residual": 4 if spec.parallel_residual else 3 * sums,
        "rotary": 2 * _turned(spec),
        "activation": 2 * wide,
    }


def backward_rows(spec: ModelSpec) -> Mapping[str, float]:
    norms = 1 if spec.shared_norm else 2
    passes = 1 if spec.parallel_residual else norms  # over x, what flows by, and the result
    return {
        "norms": norms + 3 * passes,
        # the sum of the heads' bias reads all three, and what turns is written in that pass
        "rotary": 3 + _turned(spec) if spec.attention_bias else 2 * _turned(spec),
        "activation": 3 * spec.ffn_size / spec.hidden_size,
        # sums over tokens for the biases of both outputs, which no other pass reads
        "bias": 2 if spec.attention_bias and spec.mlp_bias else 0,
    }


def _turned(spec: ModelSpec) -> float:
    """Of query and key, what turns."""
    return 2 * spec.rotary_dims / spec.head_dim


def loss_bytes_moved(spec: ModelSpec, tokens: int, element: int) -> float:
    """The logits, read once and replaced by their gradient."""
    return 2.0 * tokens * spec.vocab_size * element


def update_bytes_moved(spec: ModelSpec, element: int) -> float:
    """AdamW in one pass: fp32 weight and moments read and written, the gradient read twice (its
    norm, the update), the copy in the model's format written.
    """
    lower = element if element < FP32 else 0
    return parameters(spec).total * (3.0 * 2 * FP32 + 2 * element + lower)
