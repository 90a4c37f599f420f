"""What every objective offers, so that it can also run as the last pipeline stage."""

from dataclasses import dataclass
from typing import Protocol

import torch

from neox.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class LossParts:
    """The loss of one micro-batch before any averaging."""

    total: torch.Tensor  # scalar: sum over positions that count
    weight: torch.Tensor  # scalar: how many count


class Objective(Protocol):
    def inputs(self, batch: Batch) -> torch.Tensor:
        """Token ids [b, s] that the model reads."""

    def loss(self, logits: torch.Tensor, batch: Batch) -> LossParts:
        """Loss of logits [b, s, vocab] against the batch's targets."""
