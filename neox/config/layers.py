"""Sizes that follow from several arguments at once: layer kinds, feed-forward width, vocabulary.

The rules are GPT-NeoX's: `megatron/model/utils.py` and `megatron/model/transformer.py` for the
feed-forward width, `megatron/tokenizer/tokenizer.py` for the vocabulary.
"""

import math

from neox.config.arguments.model import LayerKind, LayerPattern, Model

GATED = frozenset({"geglu", "reglu", "swiglu", "bilinear", "glu"})


class PatternError(ValueError):
    """The layer pattern does not give each layer one kind."""


def layer_kinds(
    pattern: tuple[LayerKind | LayerPattern, ...] | None, num_layers: int
) -> tuple[LayerKind, ...]:
    """The kind of each layer; `[[kinds], n]` repeats its kinds n times, "all" to the last layer.

    Raises PatternError where that is not exactly `num_layers` kinds.
    """
    kinds: list[LayerKind] = ["global"] * num_layers if pattern is None else []
    for item in pattern or ():
        if isinstance(item, str):
            kinds.append(item)
            continue
        cycle, times = item
        left = num_layers - len(kinds)
        if times == "all":
            if not cycle or left % len(cycle):
                raise PatternError(f"{len(cycle)} kinds do not fill {left} layers evenly")
            times = left // len(cycle)
        if times < 0 or len(cycle) * times > num_layers:
            raise PatternError(f"{len(cycle) * times} kinds are too many for {num_layers} layers")
        kinds.extend(cycle * times)
    if len(kinds) != num_layers:
        raise PatternError(f"{len(kinds)} kinds for {num_layers} layers")
    return tuple(kinds)


def kinds_named(pattern: tuple[LayerKind | LayerPattern, ...] | None) -> set[LayerKind]:
    """The kinds that stand in the pattern, however often."""
    found: set[LayerKind] = set()
    for item in pattern or ():
        found.update({item} if isinstance(item, str) else set(item[0]))
    return found


def inner_width(model: Model) -> int:
    """intermediate_size, or expansion_factor (4 where unset) times hidden_size."""
    assert model.hidden_size is not None
    if model.intermediate_size is not None:
        return model.intermediate_size
    factor = 4.0 if model.expansion_factor is None else model.expansion_factor
    return int(factor * model.hidden_size)


def feed_forward_width(model: Model) -> int:
    """Inner width of the feed-forward block as it is built.

    Gated kinds take two thirds of `inner_width`, half of it for each factor. GPT-NeoX rounds the
    first matrix to 2 x mlp_multiple_of and the second to mlp_multiple_of; where these disagree
    its shapes did not fit, so the second, which is the width of the activations, counts.
    """
    width = inner_width(model)
    if model.activation in GATED:
        width = int(width * 2 / 3) // 2
    return round_up(width, model.mlp_multiple_of)


def gated_widths_disagree(model: Model) -> bool:
    """Would GPT-NeoX's two matrices of a gated block not fit together?"""
    both = int(inner_width(model) * 2 / 3)
    multiple = model.mlp_multiple_of
    first, second = round_up(both, 2 * multiple), round_up(both // 2, multiple)
    return model.activation in GATED and first != 2 * second


def padded_vocabulary(vocab_size: int, divisible_by: int, tensor_ranks: int) -> int:
    """Rows of the embedding: a multiple of `divisible_by` x `tensor_ranks`."""
    return round_up(vocab_size, divisible_by * tensor_ranks)


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    low = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    high = [number // n for n in reversed(low) if n * n != number]
    return low + high


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
