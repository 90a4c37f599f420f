"""LayerNorm and RMSNorm over the last axis; statistics in fp32 whatever the dtype.

Ba et al. 2016; Zhang and Sennrich 2019. One operation serves a plain norm, the norm of a residual
stream to which one or two tensors are added on the way, and two norms of one input by different
weights, for layers whose attention and feed-forward part both read the same x.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from neox.ops.library import Kernel, Launch, define, installed, wide

LONGEST = (16_384, 8_192)  # elements of a row that the kernels hold: with one norm, with two
Tensors = Sequence[torch.Tensor]
Five = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Six = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Maybe = torch.Tensor | None


def layer_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """(x - mean) / sqrt(variance + epsilon) x weight + bias; x [..., h], weight and bias [h]."""
    if kernel_fits(1, x, weight, bias):
        return fused_norms(x, [], [], [(weight, bias)], epsilon)[1]
    return F.layer_norm(x, weight.shape, weight, bias, epsilon)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x / sqrt(mean of x^2 + epsilon) x weight."""
    if kernel_fits(1, x, weight):
        y: torch.Tensor = torch.ops.neox.norm(x, [], [], [weight], [], epsilon, True)[1]
        return y
    return F.rms_norm(x, weight.shape, weight, epsilon)


def kernel_fits(norms: int, x: torch.Tensor, *others: torch.Tensor) -> bool:
    """Do the kernels take one or two norms of x?"""
    return x.shape[-1] <= LONGEST[norms - 1] and installed("norm", x, *others)


def fused_norms(
    x: torch.Tensor,
    added: Tensors,
    held: Tensors,
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]],
    epsilon: float,
) -> tuple[torch.Tensor, ...]:
    """The sum of x and up to two more, and its norm by one or two pairs of weight and bias.

    `held` are biases [h] that the added tensors hold already; they get their gradient here.
    """
    weights, biases = [weight for weight, _ in pairs], [bias for _, bias in pairs]
    total, *ys = torch.ops.neox.norm(x, list(added), list(held), weights, biases, epsilon, False)
    return (total if added else x, *ys[: len(pairs)])


def layer_norm_reference(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> torch.Tensor:
    return norm_reference(x, [], [], [weight], [bias], epsilon, False)[1]


# --- the operation: sum, y, y2, mean, rstd; what is not asked for is empty -----------------------


def norm_reference(
    x: torch.Tensor,
    added: Tensors,
    held: Tensors,
    weights: Tensors,
    biases: Tensors,
    epsilon: float,
    rms: bool,
) -> Five:
    total = wide(x)
    for part in added:
        total = total + wide(part)
    kept = total.to(x.dtype)  # what is normalised is what the next layer reads
    mean, rstd = _statistics(wide(kept), epsilon, rms)
    normal = _normal(wide(kept), mean, rstd)
    nothing = x.new_empty(0)
    ys = [_affine(normal, w, b).to(x.dtype) for w, b in _pairs(weights, biases)]
    return kept if added else nothing, ys[0], ys[1] if len(ys) > 1 else nothing, mean, rstd


def _pairs(weights: Tensors, biases: Tensors) -> list[tuple[torch.Tensor, Maybe]]:
    return list(zip(weights, biases if biases else [None] * len(weights), strict=True))


def _statistics(x: torch.Tensor, epsilon: float, rms: bool) -> tuple[torch.Tensor, torch.Tensor]:
    rows = x.reshape(_rows(x), x.shape[-1])
    mean = x.new_empty(0) if rms else rows.mean(dim=-1)
    centred = rows if rms else rows - mean[:, None]
    return mean, torch.rsqrt(centred.square().mean(dim=-1) + epsilon)


def _normal(x: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor) -> torch.Tensor:
    rows = x.reshape(_rows(x), x.shape[-1])
    centred = rows - mean[:, None] if mean.numel() else rows
    return (centred * rstd[:, None]).view(x.shape)


def _affine(normal: torch.Tensor, weight: torch.Tensor, bias: Maybe) -> torch.Tensor:
    scaled = normal * wide(weight)
    return scaled if bias is None else scaled + wide(bias)


def norm_backward_reference(
    dys: Tensors,
    dsum: Maybe,
    x: torch.Tensor,
    weights: Tensors,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    biased: bool,
    sums_dx: bool,
) -> Six:
    """dx, dweight, dbias, dweight2, dbias2, and the sum of dx over the rows.

    With g the gradient of the normalised row: dx = (g - mean(g) - normal mean(g normal)) rstd;
    RMSNorm has no mean(g).
    """
    normal = _normal(wide(x), mean, rstd)
    g = sum(
        (wide(dy) * wide(weight) for dy, weight in zip(dys, weights, strict=True)),
        start=torch.zeros_like(normal),
    )
    slope = (g * normal).mean(dim=-1, keepdim=True)
    dx = g - normal * slope
    if mean.numel():
        dx = dx - g.mean(dim=-1, keepdim=True)
    dx = dx * rstd.view(*x.shape[:-1], 1)
    if dsum is not None:
        dx = dx + wide(dsum)
    sums = [one for dy in dys for one in _weight_gradients(dy, normal, biased)]
    nothing = [x.new_empty(0) for _ in range(4 - len(sums))]
    dweight, dbias, dweight2, dbias2 = sums + nothing
    down = dx.reshape(_rows(dx), dx.shape[-1]).sum(dim=0) if sums_dx else dx.new_empty(0)
    return dx.to(x.dtype), dweight, dbias, dweight2, dbias2, down.to(x.dtype)


def _weight_gradients(
    dy: torch.Tensor, normal: torch.Tensor, biased: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = wide(dy).reshape(_rows(dy), dy.shape[-1])
    dweight = (rows * normal.reshape(rows.shape)).sum(dim=0).to(dy.dtype)
    return dweight, rows.sum(dim=0).to(dy.dtype) if biased else dy.new_empty(0)


def _fake(
    x: torch.Tensor,
    added: Tensors,
    held: Tensors,
    weights: Tensors,
    biases: Tensors,
    epsilon: float,
    rms: bool,
) -> Five:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    rstd = x.new_empty(_rows(x), dtype=wide(x[..., :0]).dtype)
    return (
        torch.empty_like(like) if added else x.new_empty(0),
        like,
        torch.empty_like(like) if len(weights) > 1 else x.new_empty(0),
        rstd.new_empty(0) if rms else torch.empty_like(rstd),
        rstd,
    )


def _fake_backward(
    dys: Tensors,
    dsum: Maybe,
    x: torch.Tensor,
    weights: Tensors,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    biased: bool,
    sums_dx: bool,
) -> Six:
    size, second = x.shape[-1], len(weights) > 1
    return (
        torch.empty_like(x, memory_format=torch.contiguous_format),
        x.new_empty(size),
        x.new_empty(size if biased else 0),
        x.new_empty(size if second else 0),
        x.new_empty(size if second and biased else 0),
        x.new_empty(size if sums_dx else 0),
    )


def _rows(x: torch.Tensor) -> int:
    return x.shape[:-1].numel()


def _kernel(
    launch: Launch,
    x: torch.Tensor,
    added: Tensors,
    held: Tensors,
    weights: Tensors,
    biases: Tensors,
    epsilon: float,
    rms: bool,
) -> Five:
    x = x.contiguous()
    outputs = _fake(x, added, held, weights, biases, epsilon, rms)
    total, y, y2, mean, rstd = outputs
    (weight, bias), (weight2, bias2) = (*_pairs(weights, biases), (None, None))[:2]
    launch(
        "norm", x, *_two([one.contiguous() for one in added]), weight, bias, weight2, bias2,
        total if added else None, y, None if weight2 is None else y2, None if rms else mean, rstd,
        epsilon,
    )  # fmt: skip
    return outputs


def _kernel_backward(
    launch: Launch,
    dys: Tensors,
    dsum: Maybe,
    x: torch.Tensor,
    weights: Tensors,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    biased: bool,
    sums_dx: bool,
) -> Six:
    outputs = _fake_backward(dys, dsum, x, weights, mean, rstd, biased, sums_dx)
    dx, *sums = outputs
    if not rstd.numel():  # no row: nothing to launch, and sums of nothing
        for one in sums:
            one.zero_()
        return outputs
    launch(
        "norm_backward", *_two([dy.contiguous() for dy in dys]),
        None if dsum is None else dsum.contiguous(), x.contiguous(), *_two(weights),
        mean if mean.numel() else None, rstd, dx, *(one if one.numel() else None for one in sums),
    )  # fmt: skip
    return outputs


def _two(tensors: Tensors) -> tuple[Maybe, Maybe]:
    first, second = (*tensors, None, None)[:2]
    return first, second


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Five) -> None:
    x, added, held, weights, biases, _, _ = inputs
    total, _, _, mean, rstd = output
    ctx.save_for_backward(total if added else x, mean, rstd, *weights)
    ctx.counts = len(added), len(held), len(weights), len(biases)
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, dsum: Maybe, dy: Maybe, dy2: Maybe, *_: Maybe) -> tuple[object, ...]:
    x, mean, rstd, *weights = ctx.saved_tensors
    added, held, count, biased = ctx.counts
    dys = [torch.zeros_like(x) if one is None else one for one in (dy, dy2)[:count]]
    dx, *sums, down = torch.ops.neox.norm_backward(
        dys, dsum if added else None, x, weights, mean, rstd, biased > 0, held > 0
    )
    return dx, [dx] * added, [down] * held, sums[0::2][:count], sums[1::2][:biased], None, None


define(
    "norm",
    "(Tensor x, Tensor[] added, Tensor[] held, Tensor[] weights, Tensor[] biases, float epsilon,"
    " bool rms)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    reference=norm_reference,
    fake=_fake,
)
define(
    "norm_backward",
    "(Tensor[] dys, Tensor? dsum, Tensor x, Tensor[] weights, Tensor mean, Tensor rstd,"
    " bool biased, bool sums_dx) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    reference=norm_backward_reference,
    fake=_fake_backward,
)
torch.library.register_autograd("neox::norm", _gradients, setup_context=_keep)
KERNELS: dict[str, Kernel] = {"norm": _kernel, "norm_backward": _kernel_backward}
