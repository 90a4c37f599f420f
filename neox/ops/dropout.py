"""Bias, dropout and residual in one pass, with random numbers by counter.

The mask is a function of a key that stands on the device: the backward pass draws the same one
again instead of keeping it, and a CUDA graph that advances the key draws a new one at each replay.
"""

from typing import Any

import torch

from neox.ops.library import Kernel, Launch, define, installed, wide

LEVELS = 1 << 16  # a survivor is drawn with 16 bits
CHUNK = 8  # elements that share one draw of 128 bits
_WORD = 0xFFFFFFFF


def dropout_key(seed: int, device: torch.device) -> torch.Tensor:
    """A key [seed, offset] whose offset `next_key` advances."""
    return torch.tensor([seed, 0], dtype=torch.int64, device=device)


def next_key(key: torch.Tensor) -> torch.Tensor:
    """A copy of the key for one use; the key itself moves on, on the device."""
    now = key.clone()
    key[1].add_(1)
    return now


def dropout_add(
    x: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    key: torch.Tensor,
    probability: float,
) -> torch.Tensor:
    """residual + dropout(x + bias); x and residual [..., h], bias [h].

    The probability is rounded to 1 / 65,536, and survivors are scaled by the rounded one, so that
    the expectation is exact. Use each key once.
    """
    if installed("dropout_add", x, bias, residual):
        y: torch.Tensor = torch.ops.neox.dropout_add(x, bias, residual, key, probability)
        return y
    return dropout_add_reference(x, bias, residual, key, probability)


def dropout_add_reference(
    x: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    key: torch.Tensor,
    probability: float,
) -> torch.Tensor:
    z = wide(x) if bias is None else wide(x) + wide(bias)
    return (wide(residual) + z * _factors(x, key, probability)).to(x.dtype)


def dropout_add_backward_reference(
    dy: torch.Tensor, key: torch.Tensor, probability: float, sums: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """dx, and its sum over the rows (where asked for)."""
    dx = wide(dy) * _factors(dy, key, probability)
    rows = tuple(range(dy.ndim - 1))
    return dx.to(dy.dtype), dx.sum(dim=rows).to(dy.dtype) if sums else dy.new_empty(0)


def _factors(x: torch.Tensor, key: torch.Tensor, probability: float) -> torch.Tensor:
    """0, or what a survivor is multiplied by, for each element of x."""
    kept = round((1.0 - probability) * LEVELS)
    alive = random_levels(x.shape[:-1].numel(), x.shape[-1], key).view(x.shape) < kept
    return alive.to(wide(x[..., :0]).dtype) * (LEVELS / kept if kept else 0.0)


def random_levels(rows: int, size: int, key: torch.Tensor) -> torch.Tensor:
    """Uniform in [0, 65536), int64 [rows, size]: Philox4x32-10 (Salmon et al. 2011), eight 16-bit
    numbers for each counter [index of the eight, offset].
    """
    chunks = -(-size // CHUNK)
    index = torch.arange(rows * chunks, dtype=torch.int64, device=key.device)
    seed, offset = key[0].expand_as(index), key[1].expand_as(index)
    counter = [index & _WORD, index >> 32 & _WORD, offset & _WORD, offset >> 32 & _WORD]
    words = philox(counter, [seed & _WORD, seed >> 32 & _WORD])
    halves = [half for word in words for half in (word & 0xFFFF, word >> 16)]
    return torch.stack(halves, dim=-1).view(rows, chunks * CHUNK)[:, :size]


def philox(words: list[torch.Tensor], key: list[torch.Tensor]) -> list[torch.Tensor]:
    """Four random 32-bit words of a counter of four and a key of two, all in int64."""
    key0, key1 = key
    for _ in range(10):
        high0, low0 = _product(words[0], 0xD2511F53)
        high1, low1 = _product(words[2], 0xCD9E8D57)
        words = [high1 ^ words[1] ^ key0, low1, high0 ^ words[3] ^ key1, low0]
        key0, key1 = key0 + 0x9E3779B9 & _WORD, key1 + 0xBB67AE85 & _WORD
    return words


def _product(a: torch.Tensor, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    """High and low 32 bits of a x b, both below 2^32, in int64 without overflow."""
    low, high = (a & 0xFFFF) * b, (a >> 16) * b
    middle = (low >> 16) + high
    return middle >> 16, (middle & 0xFFFF) << 16 | low & 0xFFFF


# --- the operation -------------------------------------------------------------------------------


def _fake(
    x: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    key: torch.Tensor,
    probability: float,
) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _fake_backward(
    dy: torch.Tensor, key: torch.Tensor, probability: float, sums: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    dx = torch.empty_like(dy, memory_format=torch.contiguous_format)
    return dx, dy.new_empty(dy.shape[-1] if sums else 0)


def _kernel(
    launch: Launch,
    x: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    key: torch.Tensor,
    probability: float,
) -> torch.Tensor:
    y = _fake(x, bias, residual, key, probability)
    launch("dropout_add", x.contiguous(), bias, residual.contiguous(), key, y, probability)
    return y


def _kernel_backward(
    launch: Launch, dy: torch.Tensor, key: torch.Tensor, probability: float, sums: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    dx, dbias = _fake_backward(dy, key, probability, sums)
    if not dy.numel():
        return dx, dbias.zero_()
    launch("dropout_add_backward", dy.contiguous(), key, dx, dbias if sums else None, probability)
    return dx, dbias


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, bias, _, key, ctx.probability = inputs
    ctx.sums = bias is not None
    ctx.save_for_backward(key)


def _gradients(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    (key,) = ctx.saved_tensors
    dx, dbias = torch.ops.neox.dropout_add_backward(dy, key, ctx.probability, ctx.sums)
    return dx, dbias if ctx.sums else None, dy, None, None


define(
    "dropout_add",
    "(Tensor x, Tensor? bias, Tensor residual, Tensor key, float probability) -> Tensor",
    reference=dropout_add_reference,
    fake=_fake,
)
define(
    "dropout_add_backward",
    "(Tensor dy, Tensor key, float probability, bool sums) -> (Tensor, Tensor)",
    reference=dropout_add_backward_reference,
    fake=_fake_backward,
)
torch.library.register_autograd("neox::dropout_add", _gradients, setup_context=_keep)
KERNELS: dict[str, Kernel] = {"dropout_add": _kernel, "dropout_add_backward": _kernel_backward}
