"""The pieces of a training step, each as fast as the card does it alone, in the step's order.

No step can be faster than its matrix products, its attention, one pass over memory for each
elementwise stage, and one for the optimizer. The products run in the model's own shapes (forward,
input gradient, weight gradient) and by the algorithms that `neox tune` found, attention through
cuDNN, and every pass is a plain copy that moves as many bytes as the stage must read and write.
"""

import torch

from neox.models.spec import ModelSpec
from neox.models.traffic import (
    backward_rows,
    forward_rows,
    loss_bytes_moved,
    update_bytes_moved,
)
from neox.ops.chunks import chunk_rows
from neox.ops.gemm import gemm

BF16_BYTES = 2


class Roofline:
    """Buffers and weights of one model; `step()` launches one step's pieces."""

    def __init__(self, spec: ModelSpec, batch: int, length: int) -> None:
        self.spec, self._batch, self._length = spec, batch, length
        tokens, hidden = batch * length, spec.hidden_size
        matrices = _matrices(spec)
        self._layers = [
            {name: _random(*shape) for name, shape in matrices.items()}
            for _ in range(spec.num_layers)
        ]
        # linear1's joins the activation's pass
        self._bias = {name: _random(matrices[name][0]) for name in ("qkv", "dense", "down")}
        self._head = _random(spec.vocab_size, hidden)
        self._narrow = [_random(tokens, hidden) for _ in range(2)]
        self._qkv = [_random(tokens, 3 * hidden) for _ in range(2)]
        self._wide = [_random(tokens, spec.ffn_size) for _ in range(2)]
        self._chunk = chunk_rows(tokens, spec.vocab_size, BF16_BYTES)
        self._logits = _random(self._chunk, spec.vocab_size)
        self._gradient = {name: torch.empty_like(w) for name, w in self._layers[0].items()}
        self._head_gradient = torch.empty_like(self._head)
        heads = (batch, length, spec.num_attention_heads, spec.head_dim)
        self._heads = [_random(*heads).transpose(1, 2) for _ in range(4)]
        size = max(self._logits.numel(), 1 << 28) * BF16_BYTES
        self._source = _random(size // BF16_BYTES // 2).view(torch.uint8)
        self._target = torch.empty_like(self._source)
        self._rows = tokens * hidden * BF16_BYTES
        self._forward_rows, self._backward_rows = forward_rows(spec), backward_rows(spec)

    def step(self) -> None:
        for layer in self._layers:
            self.forward(layer)
        self.loss()
        for layer in reversed(self._layers):
            self.backward(layer)
        self.optimizer()

    def forward(self, layer: dict[str, torch.Tensor]) -> None:
        narrow, other = self._narrow
        self._pass(self._forward_rows["norms"])
        gemm("forward", narrow, layer["qkv"], self._bias["qkv"], out=self._qkv[0])
        self._pass(self._forward_rows["rotary"])
        self.attend()
        gemm("forward", narrow, layer["dense"], self._bias["dense"], out=other)
        gemm("forward", narrow, layer["up"], out=self._wide[0])
        self._pass(self._forward_rows["activation"])
        gemm("forward", self._wide[0], layer["down"], self._bias["down"], out=other)
        self._pass(self._forward_rows["residual"])

    def backward(self, layer: dict[str, torch.Tensor]) -> None:
        narrow, other = self._narrow
        qkv, wide = self._qkv[0], self._wide[0]
        gemm("dgrad", narrow, layer["down"], out=self._wide[1])
        gemm("wgrad", narrow, wide, out=self._gradient["down"])
        self._pass(self._backward_rows["activation"])
        gemm("dgrad", wide, layer["up"], out=other)
        gemm("wgrad", wide, narrow, out=self._gradient["up"])
        gemm("dgrad", narrow, layer["dense"], out=other)
        gemm("wgrad", narrow, other, out=self._gradient["dense"])
        self.attend_backward()
        self._pass(self._backward_rows["rotary"])
        gemm("dgrad", qkv, layer["qkv"], out=other)
        gemm("wgrad", qkv, narrow, out=self._gradient["qkv"])
        self._pass(self._backward_rows["norms"] + self._backward_rows["bias"])

    def loss(self) -> None:
        """The head's three products; the logits are written once and read once more."""
        for narrow, other in zip(*(one.split(self._chunk) for one in self._narrow), strict=True):
            logits = self._logits[: len(narrow)]
            gemm("forward", narrow, self._head, out=logits)
            self._move(loss_bytes_moved(self.spec, len(narrow), BF16_BYTES))
            gemm("dgrad", logits, self._head, out=other)
            gemm("wgrad", logits, narrow, out=self._head_gradient)

    def optimizer(self) -> None:
        self._move(update_bytes_moved(self.spec, BF16_BYTES))

    def attend(self) -> None:
        query, key, value, _ = self._heads
        self._attended = torch.ops.aten._scaled_dot_product_cudnn_attention(
            query, key, value, None, True, 0.0, True, False
        )

    def attend_backward(self) -> None:
        query, key, value, gradient = self._heads
        output, lse, cum_q, cum_k, max_q, max_k, seed, offset, _ = self._attended
        torch.ops.aten._scaled_dot_product_cudnn_attention_backward(
            gradient,
            query,
            key,
            value,
            output,
            lse,
            seed,
            offset,
            None,
            cum_q,
            cum_k,
            max_q,
            max_k,
            0.0,
            True,
        )

    def _pass(self, rows: float) -> None:
        self._move(rows * self._rows)

    def _move(self, read_and_written: float) -> None:
        """Copy so that this many bytes are read and written together."""
        left = int(read_and_written) // 2
        while left > 0:
            part = min(left, self._source.numel())
            self._target[:part].copy_(self._source[:part])
            left -= part


def _matrices(spec: ModelSpec) -> dict[str, tuple[int, int]]:
    hidden = spec.hidden_size
    return {
        "qkv": (3 * hidden, hidden),
        "dense": (hidden, hidden),
        "up": (spec.ffn_size, hidden),
        "down": (hidden, spec.ffn_size),
    }


def _random(*shape: int) -> torch.Tensor:
    """Normal numbers: on zeros the card draws less power and runs faster."""
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16) * 0.02
