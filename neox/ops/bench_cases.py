"""What `neox kernels bench` times: each kernel with what it competes with, in bf16 unless said."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from neox.ops.adamw import adamw_reference_
from neox.ops.glu import CURVES, glu_backward_reference, glu_reference
from neox.ops.library import installed
from neox.ops.rotary import join_reference, rotate_reference_, turn_back_reference_
from neox.ops.scaled_sum import scaled_sum_reference
from neox.ops.softmax import softmax_backward_reference
from neox.ops.squared_norm import squared_norm_reference
from neox.ops.trial import Maker

Run = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One kernel with what it competes with."""

    name: str
    moved: int  # bytes, the fewest possible, without what `pieces` does
    kernel: Run
    plain: Run
    backward: bool = False
    pieces: Run | None = None  # that part of the work which a plain copy does not stand for


def cases(device: torch.device) -> Iterator[Timed]:
    make = Maker(torch.bfloat16, device)
    families = [
        _norms, _gelus, _glus, _dropouts, _softmaxes, _heads, _losses, _sums, _embeddings, _squares,
        _adamws,
    ]  # fmt: skip
    if installed("gemm_gelu", make(1)):
        families.append(_feed_forwards)
    for family in families:
        torch.cuda.empty_cache()  # what others left lies anywhere, as in no process of one's own
        yield from family(make)


def _norms(make: Maker) -> Iterator[Timed]:
    norm, back = torch.ops.neox.norm, torch.ops.neox.norm_backward
    for rows, size in ((16_384, 4096), (32_768, 2048), (65_536, 768)):
        x, a, b, dy, dy2, dsum = (make(rows, size) for _ in range(6))
        w, c, w2, c2 = (make(size) for _ in range(4))
        mean, rstd = norm(x, [], [], [w], [c], 1e-5, False)[3:]
        where, one = f"{rows}x{size}", _bytes(x)
        yield Timed(
            name=f"LayerNorm {where}", moved=2 * one,
            kernel=partial(norm, x, [], [], [w], [c], 1e-5, False),
            plain=partial(torch.ops.aten.native_layer_norm, x, (size,), w, c, 1e-5),
        )  # fmt: skip
        yield Timed(
            name=f"RMSNorm {where}", moved=2 * one,
            kernel=partial(norm, x, [], [], [w], [], 1e-5, True),
            plain=partial(_rms_norm, x, w),
        )  # fmt: skip
        yield Timed(
            name=f"2 added, 2 norms {where}", moved=6 * one,
            kernel=partial(norm, x, [a, b], [], [w, w2], [c, c2], 1e-5, False),
            plain=partial(_stream, x, a, b, w, c, w2, c2),
        )  # fmt: skip
        yield Timed(
            name=f"LayerNorm back {where}", moved=3 * one, backward=True,
            kernel=partial(back, [dy], None, x, [w], mean, rstd, True, False),
            plain=partial(_norm_back, dy, x, w, c, mean, rstd),
        )  # fmt: skip
        yield Timed(
            name=f"2 norms back, sums {where}", moved=5 * one, backward=True,
            kernel=partial(back, [dy, dy2], dsum, x, [w, w2], mean, rstd, True, True),
            plain=partial(_two_norms_back, dy, dy2, dsum, x, w, w2, c, mean, rstd),
        )  # fmt: skip


def _rms_norm(x: Tensor, w: Tensor) -> object:
    rstd = (x.float().square().mean(dim=-1) + 1e-5).rsqrt()  # the backward pass asks for it
    return F.rms_norm(x, w.shape, w, 1e-5), rstd


def _stream(
    x: Tensor, a: Tensor, b: Tensor, w: Tensor, c: Tensor, w2: Tensor, c2: Tensor
) -> object:
    total, norm = x + a + b, torch.ops.aten.native_layer_norm
    return total, norm(total, w.shape, w, c, 1e-5), norm(total, w.shape, w2, c2, 1e-5)


def _norm_back(
    dy: Tensor, x: Tensor, w: Tensor, c: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_layer_norm_backward(
        dy, x, w.shape, mean[:, None], rstd[:, None], w, c, [True, True, True]
    )
    return found


def _two_norms_back(
    dy: Tensor, dy2: Tensor, dsum: Tensor, x: Tensor, w: Tensor, w2: Tensor, c: Tensor,
    mean: Tensor, rstd: Tensor,
) -> object:  # fmt: skip
    one, two = _norm_back(dy, x, w, c, mean, rstd), _norm_back(dy2, x, w2, c, mean, rstd)
    dx = one[0] + two[0] + dsum
    return dx, dx.sum(dim=0), *one[1:], *two[1:]


def _gelus(make: Maker) -> Iterator[Timed]:
    x, dy, bias = make(16_384, 8192), make(16_384, 8192), make(8192)
    for form, approximate in (("gelu_tanh", "tanh"), ("gelu_exact", "none")):
        yield Timed(
            name=f"bias + {form}", moved=2 * _bytes(x),
            kernel=partial(torch.ops.neox.bias_gelu, x, bias, form),
            plain=partial(_gelu, x, bias, approximate),
        )  # fmt: skip
        yield Timed(
            name=f"bias + {form} back", moved=3 * _bytes(x), backward=True,
            kernel=partial(torch.ops.neox.bias_gelu_backward, dy, x, bias, form),
            plain=partial(_gelu_back, dy, x, bias, approximate),
        )  # fmt: skip


def _gelu(x: Tensor, bias: Tensor, approximate: str) -> Tensor:
    return F.gelu(x + bias, approximate=approximate)


def _gelu_back(dy: Tensor, x: Tensor, bias: Tensor, approximate: str) -> object:
    dx = torch.ops.aten.gelu_backward(dy, x + bias, approximate=approximate)
    return dx, dx.sum(dim=0)


def _feed_forwards(make: Maker) -> Iterator[Timed]:
    for rows, wide, deep in ((32_768, 8192, 2048), (32_768, 4096, 1024), (65_536, 3072, 768)):
        x, up, bias = make(rows, deep), make(wide, deep) * deep**-0.5, make(wide)
        down, slope = make(deep, wide) * deep**-0.5, make(rows, wide)
        where = f"{rows}x{wide}x{deep}"
        yield Timed(
            name=f"linear, GELU {where}", moved=3 * _bytes(slope), pieces=partial(F.linear, x, up),
            kernel=partial(torch.ops.neox.gemm_gelu, x, up, bias, "gelu_exact"),
            plain=partial(_linear_gelu, x, up, bias),
        )  # fmt: skip
        yield Timed(
            name=f"linear, GELU back {where}", moved=3 * _bytes(slope), backward=True,
            pieces=partial(torch.mm, x, down),
            kernel=partial(torch.ops.neox.gemm_gelu_backward, x, down, slope, True),
            plain=partial(_linear_gelu_back, x, down, slope),
        )  # fmt: skip


def _linear_gelu(x: Tensor, up: Tensor, bias: Tensor) -> object:
    a = F.linear(x, up, bias)
    return a, F.gelu(a)


def _linear_gelu_back(dy: Tensor, down: Tensor, a: Tensor) -> object:
    da = torch.ops.aten.gelu_backward(dy @ down, a)
    return da, da.sum(dim=0)


def _glus(make: Maker) -> Iterator[Timed]:
    wide, dy = make(16_384, 8192), make(16_384, 4096)
    for curve in CURVES:
        yield Timed(
            name=f"GLU {curve}", moved=_bytes(wide, dy),
            kernel=partial(torch.ops.neox.glu, wide, curve),
            plain=partial(glu_reference, wide, curve),
        )  # fmt: skip
        yield Timed(
            name=f"GLU {curve} back", moved=_bytes(wide, wide, dy), backward=True,
            kernel=partial(torch.ops.neox.glu_backward, dy, wide, curve),
            plain=partial(glu_backward_reference, dy, wide, curve),
        )  # fmt: skip


def _dropouts(make: Maker) -> Iterator[Timed]:
    x, residual, bias = make(16_384, 8192), make(16_384, 8192), make(8192)
    key, mask = torch.tensor([1, 2], device=make.device), make(16_384, 8192) > -1.28
    yield Timed(
        name="bias + dropout + residual", moved=3 * _bytes(x),
        kernel=partial(torch.ops.neox.dropout_add, x, bias, residual, key, 0.1),
        plain=partial(_dropout, x, bias, residual),
    )  # fmt: skip
    yield Timed(
        name="bias + dropout back", moved=2 * _bytes(x), backward=True,
        kernel=partial(torch.ops.neox.dropout_add_backward, residual, key, 0.1, True),
        plain=partial(_dropout_back, residual, mask),
    )  # fmt: skip


def _dropout(x: Tensor, bias: Tensor, residual: Tensor) -> Tensor:
    return residual + F.dropout(x + bias, 0.1, training=True)


def _dropout_back(dy: Tensor, mask: Tensor) -> object:
    dx = dy * mask * (1 / 0.9)
    return dx, dx.sum(dim=0)


def _softmaxes(make: Maker) -> Iterator[Timed]:
    softmax, back = torch.ops.neox.softmax, torch.ops.neox.softmax_backward
    for length, batch in ((2048, 8), (8192, 1)):
        scores, dy = make(batch, 16, length, length), make(batch, 16, length, length)
        seen = torch.ones(length, length, dtype=torch.bool, device=make.device).tril()
        out = softmax(scores, None, 0.1, True)
        half = _bytes(scores) // 2  # what is seen
        yield Timed(
            name=f"causal softmax {length}", moved=3 * half,
            kernel=partial(softmax, scores, None, 0.1, True), plain=partial(_softmax, scores, seen),
        )  # fmt: skip
        yield Timed(
            name=f"causal softmax back {length}", moved=4 * half, backward=True,
            kernel=partial(back, dy, out, 0.1, True), plain=partial(_softmax_back, dy, out),
        )  # fmt: skip
    scores, dy, visible = make(8, 16, 2048, 2048), make(8, 16, 2048, 2048), make(8, 1, 2048, 2048)
    mask = visible > -1
    out = softmax(scores, mask, 0.1, False)
    yield Timed(
        name="masked softmax 2048", moved=2 * _bytes(scores) + _bytes(mask),
        kernel=partial(softmax, scores, mask, 0.1, False), plain=partial(_softmax, scores, mask),
    )  # fmt: skip
    yield Timed(
        name="masked softmax back 2048", moved=3 * _bytes(scores), backward=True,
        kernel=partial(back, dy, out, 0.1, False), plain=partial(_softmax_back, dy, out),
    )  # fmt: skip


def _softmax(scores: Tensor, seen: Tensor) -> Tensor:
    return (scores * 0.1).masked_fill(~seen, -1e4).softmax(dim=-1)


def _softmax_back(dy: Tensor, out: Tensor) -> Tensor:
    return softmax_backward_reference(dy, out, 0.1, True)


def _heads(make: Maker) -> Iterator[Timed]:
    heads, dims = 16, 128
    join: Callable[..., object] = join_reference
    turn_back: Callable[..., object] = turn_back_reference_
    parts = [make(16, 2048, heads, dims).transpose(1, 2) for _ in range(3)]
    for name, half in (("a quarter", 16), ("a whole head", 64)):
        mixed = make(16, 2048, heads, 3, dims)
        angle = make(1, 2048, half, dtype=torch.float32)
        cos, sin = angle.cos(), angle.sin()
        turned = _bytes(mixed) // 3 * 2 * 2 * half // dims
        words = mixed.view(torch.int64)  # inverted when all else is timed
        pieces = words[..., :2, : half // 2].bitwise_not_ if 2 * half < dims else None
        yield Timed(
            name=f"rotary, {name}", moved=0 if pieces else 2 * turned, pieces=pieces,
            kernel=partial(torch.ops.neox.rotate_, mixed, cos, sin, 2),
            plain=partial(rotate_reference_, mixed, cos, sin, 2),
        )  # fmt: skip
        yield Timed(
            name=f"rotary back, {name}", moved=2 * _bytes(mixed), backward=True,
            kernel=partial(torch.ops.neox.join_heads, *parts, cos, sin, True),
            plain=partial(join, *parts, cos, sin, True),
        )  # fmt: skip
        yield Timed(
            name=f"rotary back in place, {name}", backward=True, pieces=pieces,
            moved=_bytes(mixed) + (-turned if pieces else turned),
            kernel=partial(torch.ops.neox.turn_back_, mixed, cos, sin, True),
            plain=partial(turn_back, mixed, cos, sin, True),
        )  # fmt: skip


def _losses(make: Maker) -> Iterator[Timed]:
    for rows, words in ((16_384, 50_304), (8192, 131_072)):  # chunks as the loss makes them
        logits, targets = make(rows, words), make.below(words, rows)
        weights, where = torch.full((rows,), 1.0, device=make.device), f"{rows}x{words}"
        yield Timed(
            name=f"loss, gradient {where}", moved=2 * _bytes(logits),
            kernel=partial(torch.ops.neox.cross_entropy_, logits, targets, weights, 0.0),
            plain=partial(_loss, logits, targets, weights),
        )  # fmt: skip
        yield Timed(
            name=f"shard statistics {where}", moved=_bytes(logits),
            kernel=partial(torch.ops.neox.shard_statistics, logits, targets, 0),
            plain=partial(_log_sum, logits),
        )  # fmt: skip


def _loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    x = logits.float()
    lse = x.logsumexp(dim=-1)
    loss = lse - x.gather(-1, targets[:, None]).squeeze(-1)
    hot = torch.arange(x.shape[-1], device=x.device) == targets[:, None]
    logits.copy_(((x - lse[:, None]).exp() - hot.float()) * weights[:, None])
    return loss


def _log_sum(logits: Tensor) -> Tensor:
    return logits.float().logsumexp(dim=-1)


def _sums(make: Maker) -> Iterator[Timed]:
    factor = torch.tensor(0.37, device=make.device)
    for count in (1, 2):
        parts = [make(50_304, 2048) for _ in range(count)]
        yield Timed(
            name=f"{count} parts, scaled 50304x2048", moved=_bytes(*parts, parts[0]), backward=True,
            kernel=partial(torch.ops.neox.scaled_sum, parts, factor),
            plain=partial(scaled_sum_reference, parts, factor),
        )  # fmt: skip


def _embeddings(make: Maker) -> Iterator[Timed]:
    dy, words = make(32_768, 2048), 50_304
    some = make.below(words, 32_768)
    # as often as words of a language: a sixteenth of all places is one word's
    common = (words ** (make.below(1 << 20, 32_768) / (1 << 20)) - 1).long()
    for name, tokens in (("random", some), ("common", common)):
        ascending, place = tokens.sort()
        yield Timed(
            name=f"embedding back, {name} words", backward=True,
            moved=_bytes(dy) + words * dy.shape[1] * dy.element_size(),
            kernel=partial(torch.ops.neox.embedding_backward, dy, ascending, place, words),
            plain=partial(torch.ops.aten.embedding_dense_backward, dy, tokens, words, -1, False),
        )  # fmt: skip


def _squares(make: Maker) -> Iterator[Timed]:
    gradients = [make(size << 20) for size in (100, *(3, 1, 4, 4) * 24)]
    reference: Callable[..., object] = squared_norm_reference
    yield Timed(
        name="squared norm of 388 M", moved=_bytes(*gradients),
        kernel=partial(torch.ops.neox.squared_norm, gradients),
        plain=partial(reference, gradients),
    )  # fmt: skip


def _adamws(make: Maker) -> Iterator[Timed]:
    fp32 = torch.float32
    update: Callable[..., object] = adamw_reference_
    sizes = [50_304 << 10, *(size << 20 for size in (3, 1, 4, 4) for _ in range(4)), *[1024] * 32]
    gradients = [make(size, dtype=fp32) for size in sizes]
    scalars = [torch.tensor(value, device=make.device) for value in (1e-3, 3.0, 0.5, 0.0)]
    settings = (0.9, 0.95, 1e-8, 0.1, True)
    for moment in (fp32, torch.bfloat16):
        weights = [make(size, dtype=fp32) for size in sizes]
        first, second = ([make(n, dtype=fp32).abs().to(moment) for n in sizes] for _ in range(2))
        copies = [one.bfloat16() for one in weights]
        lists = (weights, copies, gradients, first, second)
        yield Timed(
            name=f"AdamW, {str(moment)[6:]} moments",
            moved=2 * _bytes(*weights, *first, *second) + _bytes(*copies, *gradients),
            kernel=partial(torch.ops.neox.adamw_, *lists, *scalars, *settings),
            plain=partial(update, *lists, *scalars, *settings),
        )  # fmt: skip


def _bytes(*tensors: torch.Tensor) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)
