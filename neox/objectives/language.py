"""Causal language modelling: every token is predicted from those before it."""

import torch
from torch.nn import functional as F

from neox.data.batch import Batch
from neox.objectives.objective import LossParts


class CausalLanguageModel:
    """Cross entropy in nats and fp32, whatever the logits are, summed over what counts."""

    def inputs(self, batch: Batch) -> torch.Tensor:
        return batch.tokens[:, :-1]

    def loss(self, logits: torch.Tensor, batch: Batch) -> LossParts:
        targets = batch.tokens[:, 1:] if batch.targets is None else batch.targets
        each = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        mask = batch.loss_mask.flatten()
        return LossParts(total=(each * mask).sum(), weight=mask.sum())
