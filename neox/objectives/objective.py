"""What every objective offers, so that it can also run as the last pipeline stage."""

from typing import NamedTuple, Protocol

import torch

from neox.data.batch import Batch


class LossParts(NamedTuple):
    """The loss of one micro-batch before any averaging; DeepSpeed finds tensors in tuples only."""

    total: torch.Tensor  # scalar: sum over positions that count
    weight: torch.Tensor  # scalar: how many count


class Objective(Protocol):
    def inputs(self, batch: Batch) -> torch.Tensor:
        """Token ids [b, s] that the model reads."""

    def loss(self, hidden: torch.Tensor, matrix: torch.Tensor, batch: Batch) -> LossParts:
        """Loss of hidden states [b, s, h] and the output matrix [vocab, h] against the batch."""
