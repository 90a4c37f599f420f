"""Causal language modelling: every token is predicted from those before it."""

import torch

from neox.data.batch import Batch
from neox.objectives.objective import LossParts
from neox.ops.linear_cross_entropy import linear_cross_entropy


class CausalLanguageModel:
    """Cross entropy in nats and fp32, whatever the logits are, summed over what counts."""

    def inputs(self, batch: Batch) -> torch.Tensor:
        return batch.tokens[:, :-1]

    def loss(self, hidden: torch.Tensor, matrix: torch.Tensor, batch: Batch) -> LossParts:
        targets = batch.tokens[:, 1:] if batch.targets is None else batch.targets
        mask = batch.loss_mask.flatten()
        total = linear_cross_entropy(hidden.flatten(0, 1), matrix, targets.flatten(), mask)
        return LossParts(total=total, weight=mask.sum())
