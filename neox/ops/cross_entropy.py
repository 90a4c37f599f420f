"""Cross entropy whose gradient takes the place of the logits, whole or of a vocabulary's shard."""

import torch

from neox.ops.chunks import ROWS_AT_ONCE
from neox.ops.library import Kernel, Launch, define, installed, wide

Pair = tuple[torch.Tensor, torch.Tensor]
Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def cross_entropy_(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, z_loss: float = 0.0
) -> Pair:
    """Loss [n] and log-sum-exp [n], fp32; logits [n, vocab] become the gradient of the sum of
    weights x loss.

    loss = lse - logit of the target + z_loss lse^2 (the last: PaLM, Chowdhery et al. 2022). Targets
    are int64 within the vocabulary; weights [n] are fp32.
    """
    if installed("cross_entropy_", logits):
        loss, lse = torch.ops.neox.cross_entropy_(logits, targets, weights, z_loss)
        return loss, lse
    return cross_entropy_reference_(logits, targets, weights, z_loss)


def shard_statistics(logits: torch.Tensor, targets: torch.Tensor, first: int) -> Three:
    """Of the words [first, first + v) that this rank has: the largest logit [n], the sum of
    exp(logit - largest) [n], the target's logit [n] (0 where another rank has it); fp32.
    """
    one = torch.ops.neox.shard_statistics if installed("shard_statistics", logits) else None
    largest, total, picked = (one or shard_statistics_reference)(logits, targets, first)
    return largest, total, picked


def shard_gradient_(
    logits: torch.Tensor,
    targets: torch.Tensor,
    lse: torch.Tensor,
    weights: torch.Tensor,
    first: int,
    z_loss: float = 0.0,
) -> None:
    """Logits [n, v] of this rank become their gradient; lse [n] is of the whole vocabulary."""
    one = torch.ops.neox.shard_gradient_ if installed("shard_gradient_", logits) else None
    (one or shard_gradient_reference_)(logits, targets, lse, weights, first, z_loss)


# --- references, some rows at a time because they need copies in fp32 ----------------------------


def cross_entropy_reference_(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, z_loss: float
) -> Pair:
    largest, total, picked = shard_statistics_reference(logits, targets, 0)
    lse = largest + total.log()
    shard_gradient_reference_(logits, targets, lse, weights, 0, z_loss)
    return lse - picked + z_loss * lse * lse, lse


def shard_statistics_reference(logits: torch.Tensor, targets: torch.Tensor, first: int) -> Three:
    parts = [_statistics(logits[part], targets[part] - first) for part in _some(logits)]
    largest, total, picked = (torch.cat(column) for column in zip(*parts, strict=True))
    return largest, total, picked


def _statistics(logits: torch.Tensor, targets: torch.Tensor) -> Three:
    x = wide(logits)
    largest = x.amax(dim=-1)
    total = (x - largest[:, None]).exp_().sum(dim=-1)
    inside = (targets >= 0) & (targets < x.shape[-1])
    picked = x.gather(-1, targets.where(inside, 0)[:, None]).squeeze(-1)
    return largest, total, picked.where(inside, 0.0)


def shard_gradient_reference_(
    logits: torch.Tensor,
    targets: torch.Tensor,
    lse: torch.Tensor,
    weights: torch.Tensor,
    first: int,
    z_loss: float,
) -> None:
    """weights x (softmax (1 + 2 z_loss lse) - [word is the target])"""
    for part in _some(logits):
        x, target, log_sum = wide(logits[part]), targets[part] - first, lse[part, None]
        inside = (target >= 0) & (target < x.shape[-1])
        gradient = (x - log_sum).exp_().mul_(1 + 2 * z_loss * log_sum)
        minus = torch.where(inside, -1.0, 0.0).to(gradient.dtype)
        gradient.scatter_add_(-1, target.where(inside, 0)[:, None], minus[:, None])
        logits[part].copy_(gradient.mul_(weights[part, None]))


def _some(logits: torch.Tensor) -> list[slice]:
    rows = max(1, logits.shape[0])
    return [slice(at, at + ROWS_AT_ONCE) for at in range(0, rows, ROWS_AT_ONCE)]


# --- the operations ------------------------------------------------------------------------------


def _vectors(logits: torch.Tensor, count: int) -> list[torch.Tensor]:
    dtype = wide(logits[..., :0]).dtype
    return [logits.new_empty(logits.shape[0], dtype=dtype) for _ in range(count)]


def _fake(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, z_loss: float
) -> Pair:
    loss, lse = _vectors(logits, 2)
    return loss, lse


def _fake_statistics(logits: torch.Tensor, targets: torch.Tensor, first: int) -> Three:
    largest, total, picked = _vectors(logits, 3)
    return largest, total, picked


def _kernel(
    launch: Launch,
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    z_loss: float,
) -> Pair:
    loss, lse = _vectors(logits, 2)
    launch("cross_entropy", logits, targets.contiguous(), weights.contiguous(), loss, lse, z_loss)
    return loss, lse


def _kernel_statistics(
    launch: Launch, logits: torch.Tensor, targets: torch.Tensor, first: int
) -> Three:
    largest, total, picked = _vectors(logits, 3)
    launch(
        "cross_entropy_statistics", logits, targets.contiguous(), largest, total, picked,
        float(first),
    )  # fmt: skip
    return largest, total, picked


def _kernel_gradient(
    launch: Launch,
    logits: torch.Tensor,
    targets: torch.Tensor,
    lse: torch.Tensor,
    weights: torch.Tensor,
    first: int,
    z_loss: float,
) -> None:
    launch(
        "cross_entropy_gradient", logits, targets.contiguous(), lse.contiguous(),
        weights.contiguous(), float(first), z_loss,
    )  # fmt: skip


define(
    "cross_entropy_",
    "(Tensor(a!) logits, Tensor targets, Tensor weights, float z_loss) -> (Tensor, Tensor)",
    reference=cross_entropy_reference_,
    fake=_fake,
)
define(
    "shard_statistics",
    "(Tensor logits, Tensor targets, int first) -> (Tensor, Tensor, Tensor)",
    reference=shard_statistics_reference,
    fake=_fake_statistics,
)
define(
    "shard_gradient_",
    "(Tensor(a!) logits, Tensor targets, Tensor lse, Tensor weights, int first, float z_loss)"
    " -> ()",
    reference=shard_gradient_reference_,
    fake=lambda *_: None,
)
KERNELS: dict[str, Kernel] = {
    "cross_entropy_": _kernel,
    "shard_statistics": _kernel_statistics,
    "shard_gradient_": _kernel_gradient,
}
