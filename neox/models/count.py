"""Parameters, FLOPs and bytes of a model. One count for the plan, the log and the benches.

Imports no torch, because a login node has none.
"""

import math
from dataclasses import dataclass, replace

from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class ParameterCount:
    """Numbers of parameters by part; the head counts as 0 where the embedding serves as head."""

    embedding: int
    attention: int
    mlp: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        return self.embedding + self.attention + self.mlp + self.norms + self.head


@dataclass(frozen=True, kw_only=True)
class FlopsPerToken:
    """Training (forward and backward, no recompute) FLOPs per token by two conventions.

    `full` counts attention over the whole square of scores, `causal` over the half that is needed.
    """

    full: float
    causal: float


def parameters(spec: ModelSpec) -> ParameterCount:
    counts = dict.fromkeys(("embedding", "attention", "mlp", "norms", "head"), 0)
    for name, shape in parameter_shapes(replace(spec, num_layers=1)).items():
        layers = spec.num_layers if name.startswith("layers.") else 1  # every layer is alike
        counts[_part(name)] += layers * math.prod(shape)
    return ParameterCount(**counts)


def flop_parameters(spec: ModelSpec) -> int:
    """N of the FLOPs formula: without the input embedding, with the output matrix, tied or not."""
    output_matrix = spec.vocab_size * spec.hidden_size
    count = parameters(spec)
    return count.attention + count.mlp + count.norms + output_matrix


def flops_per_token(spec: ModelSpec, seq_length: int) -> FlopsPerToken:
    """6 N + 12 L H T (Chinchilla and PaLM appendices); the attention term halved for `causal`."""
    dense = 6.0 * flop_parameters(spec)
    attention = 12.0 * spec.num_layers * spec.hidden_size * seq_length
    return FlopsPerToken(full=dense + attention, causal=dense + attention / 2)


def checkpoint_bytes(spec: ModelSpec) -> int:
    """Weights and the two Adam moments, all in fp32."""
    return 3 * 4 * parameters(spec).total


def _part(name: str) -> str:
    pieces = name.split(".")
    if "attention" in pieces:
        return "attention"
    if "mlp" in pieces:
        return "mlp"
    return pieces[0] if pieces[0] in ("embedding", "head") else "norms"
