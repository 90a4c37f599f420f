"""What a forward pass leaves in memory for the backward pass, in bytes per token of one rank.

Follows what autograd keeps of `neox.models.transformer`; Korthikanti et al. 2022 (Reducing
Activation Recomputation) count the same for Megatron's layer. Imports no torch, because the plan
counts with it.
"""

from neox.models.spec import ModelSpec
from neox.ops.chunks import PARTS_AT_ONCE, ROWS_AT_ONCE, chunk_rows, fp32_copies

STATISTICS = 8  # mean and 1 / deviation of a norm, fp32


def layer_bytes(spec: ModelSpec, element: int, tensor: int = 1) -> float:
    """Of one layer, its input included; `element` bytes a number, `tensor` ranks share the layer.

    Query, key and value stay once, in one product, and are rotated where they lie.
    """
    hidden = spec.hidden_size
    norms = 1 if spec.shared_norm else 2
    inputs = 1 if spec.parallel_residual else 2  # of the norms: the residual before each
    whole = inputs + norms
    cut = (3 + 1) * hidden + 2 * spec.ffn_size  # 1: what attention gives
    softmax = 4 * spec.num_attention_heads  # log-sum of each row, fp32
    masks = 2 * hidden if spec.hidden_dropout > 0 else 0
    return element * (whole * hidden + cut / tensor) + norms * STATISTICS + softmax / tensor + masks


def ends_bytes(spec: ModelSpec, element: int) -> int:
    """Of the final norm: its input and its output, which the output matrix needs."""
    return 2 * element * spec.hidden_size + STATISTICS


def backward_bytes(spec: ModelSpec, element: int, tensor: int = 1) -> float:
    """Gradients that live while the widest part of a layer, its feed-forward block, goes back."""
    return element * (2 * spec.ffn_size / tensor + 3 * spec.hidden_size)


def loss_bytes(spec: ModelSpec, tokens: int, element: int, tensor: int = 1) -> float:
    """Of a chunk of logits that become their gradient, and of the copies that this takes."""
    vocab = spec.vocab_size // tensor
    rows = chunk_rows(tokens, vocab, element)
    return vocab * (element * rows + fp32_copies(element) * 4.0 * min(rows, ROWS_AT_ONCE))


def head_gradient_bytes(spec: ModelSpec, tokens: int, element: int, tensor: int = 1) -> float:
    """Of the output matrix, from the loss on: a part of each chunk, or their sum so far in fp32.

    The last part is made when the copies of `loss_bytes` are gone, which are larger.
    """
    vocab = spec.vocab_size // tensor
    parts = -(-tokens // chunk_rows(tokens, vocab, element))
    if parts <= PARTS_AT_ONCE:
        return float(element * max(1, parts - 1) * vocab * spec.hidden_size)
    return float((4 + element * (PARTS_AT_ONCE - 1)) * vocab * spec.hidden_size)
