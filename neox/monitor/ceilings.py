"""What a card reaches at most, and the seconds that a training step needs there at least."""

from collections.abc import Mapping
from dataclasses import dataclass

from neox.models.count import flop_parameters
from neox.models.spec import ModelSpec
from neox.models.traffic import (
    backward_rows,
    forward_rows,
    loss_bytes_moved,
    update_bytes_moved,
)
from neox.monitor.kernel_kinds import Kind


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    products: float  # FLOP/s of a large matrix product in bf16, on random numbers
    memory: float  # bytes/s of a large copy, reads and writes together


# by torch's name of the card; measured (docs/log.md), not from a datasheet
MEASURED: Mapping[str, Ceiling] = {
    "NVIDIA H200": Ceiling(products=790e12, memory=4.25e12),
    "NVIDIA H100 80GB HBM3": Ceiling(products=798e12, memory=3.0e12),
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """One rank's step."""

    spec: ModelSpec
    tokens: int  # of all micro batches
    length: int
    element: int = 2  # bytes of the model's format


def least_seconds(work: Work, ceiling: Ceiling) -> dict[Kind, float]:
    """By kind of kernel. Recomputed activations are no part of it, and no communication is."""
    spec, tokens = work.spec, work.tokens
    row = tokens * spec.hidden_size * work.element * spec.num_layers / ceiling.memory
    there, back = forward_rows(spec), backward_rows(spec)
    # causal: half of the square of scores (PaLM's appendix counts the whole)
    attention = 6.0 * spec.num_layers * spec.hidden_size * work.length * tokens
    return {
        "matrix products": 6.0 * flop_parameters(spec) * tokens / ceiling.products,
        "attention": attention / ceiling.products,
        "norms": row * (there["norms"] + there["residual"] + back["norms"]),
        "activation": row * (there["activation"] + back["activation"]),
        "rotary": row * (there["rotary"] + back["rotary"]),
        "sums": row * back["bias"],
        "loss": loss_bytes_moved(spec, tokens, work.element) / ceiling.memory,
        "optimizer": update_bytes_moved(spec, work.element) / ceiling.memory,
    }
