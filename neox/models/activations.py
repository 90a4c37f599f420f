"""What a forward pass leaves in memory for the backward pass, in bytes per token of one rank.

Follows what autograd keeps of `neox.models.transformer`; Korthikanti et al. 2022 (Reducing
Activation Recomputation) count the same for Megatron's layer. Imports no torch, because the plan
counts with it.
"""

from neox.models.spec import ModelSpec

STATISTICS = 8  # mean and 1 / deviation of a norm, fp32
LOSS_COPIES = 3  # at the loss: log-probabilities, their gradient and that of the logits, fp32


def layer_bytes(spec: ModelSpec, element: int, tensor: int = 1) -> float:
    """Of one layer, its input included; `element` bytes a number, `tensor` ranks share the layer.

    Query, key and value stay twice where they are rotated: value is a view of the whole product.
    """
    hidden = spec.hidden_size
    norms = 1 if spec.shared_norm else 2
    inputs = 1 if spec.parallel_residual else 2  # of the norms: the residual before each
    whole = inputs + norms
    rotated = 2 if spec.rotary_dims else 0
    cut = (3 + rotated + 1) * hidden + 2 * spec.ffn_size  # 1: what attention gives
    softmax = 4 * spec.num_attention_heads  # log-sum of each row, fp32
    masks = 2 * hidden if spec.hidden_dropout > 0 else 0
    return element * (whole * hidden + cut / tensor) + norms * STATISTICS + softmax / tensor + masks


def ends_bytes(spec: ModelSpec, element: int) -> int:
    """Of the final norm: its input and its output, which the output matrix needs."""
    return 2 * element * spec.hidden_size + STATISTICS


def backward_bytes(spec: ModelSpec, element: int, tensor: int = 1) -> float:
    """Gradients that live while the widest part of a layer, its feed-forward block, goes back."""
    return element * (2 * spec.ffn_size / tensor + 3 * spec.hidden_size)


def loss_bytes(spec: ModelSpec, tensor: int = 1) -> float:
    """Of the logits while the loss goes back: fp32, whatever the model computes in."""
    return LOSS_COPIES * 4 * spec.vocab_size / tensor
