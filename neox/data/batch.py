"""One micro-batch as the engines receive it."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`b` samples of `s + 1` tokens; neighbours in time share a token.

    `weight` is the sum of the loss masks over all micro-batches of all data ranks of the step,
    known before the step from the labels alone. Engines divide by it, so that the result does
    not depend on how a batch is cut.
    """

    tokens: torch.Tensor  # [b, s + 1] int64
    loss_mask: torch.Tensor  # [b, s] float32, 1 where the next token counts
    weight: float
    targets: torch.Tensor | None = None  # [b, s] int64; None: the next token, always

    def __post_init__(self) -> None:
        assert self.targets is None or self.targets.shape == self.loss_mask.shape

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            tokens=self.tokens.to(device, non_blocking=True),
            loss_mask=self.loss_mask.to(device, non_blocking=True),
            weight=self.weight,
            targets=(None if self.targets is None else self.targets.to(device, non_blocking=True)),
        )
