"""One micro-batch as the engines receive it."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`b` samples of `s + 1` tokens; neighbours in time share a token.

    `weight` is the sum of the loss masks over all micro-batches of all data ranks of the step,
    known before the step from the labels alone; of pairs it is their number. Engines divide by it,
    so that the result does not depend on how a batch is cut. Where it had to be summed over GPUs,
    it is a scalar on them.

    With `pairs` the first half of the rows are the chosen answers, and the second half the
    rejected ones in the same order.
    """

    tokens: torch.Tensor  # [b, s + 1] int64
    loss_mask: torch.Tensor  # [b, s] float32, 1 where the next token counts
    weight: float | torch.Tensor
    targets: torch.Tensor | None = None  # [b, s] int64; None: the next token, always
    documents: torch.Tensor | None = None  # [b, s] int32: attention stays within one of a row
    positions: torch.Tensor | None = None  # [b, s] int32; None: 0 to s - 1
    rewards: torch.Tensor | None = None  # [b] float32
    pairs: bool = False

    def __post_init__(self) -> None:
        for beside in (self.targets, self.documents, self.positions):
            assert beside is None or beside.shape == self.loss_mask.shape
        assert self.rewards is None or len(self.rewards) == len(self.tokens)
        assert not self.pairs or len(self.tokens) % 2 == 0

    def to(self, device: torch.device) -> "Batch":
        def there(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else _sent(tensor, device)

        return Batch(
            tokens=_sent(self.tokens, device),
            loss_mask=_sent(self.loss_mask, device),
            weight=self.weight,
            targets=there(self.targets),
            documents=there(self.documents),
            positions=there(self.positions),
            rewards=there(self.rewards),
            pairs=self.pairs,
        )


def _sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy out of pageable memory would first wait for all that the GPU still has to do."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
