"""The pieces of a training step, each as fast as the card does it alone, in the step's order.

No step can be faster than its matrix products, its attention, one pass over memory for each
elementwise stage, and one for the optimizer. The products run in the model's own shapes (forward,
input gradient, weight gradient), attention through cuDNN, and every pass is a plain copy that
moves as many bytes as the stage must read and write.
"""

import torch

from neox.models.spec import ModelSpec
from neox.models.traffic import (
    backward_rows,
    forward_rows,
    loss_bytes_moved,
    update_bytes_moved,
)

BF16_BYTES = 2


class Roofline:
    """Buffers and weights of one model; `step()` launches one step's pieces."""

    def __init__(self, spec: ModelSpec, batch: int, length: int) -> None:
        self.spec, self._batch, self._length = spec, batch, length
        tokens, hidden = batch * length, spec.hidden_size
        self._layers = [
            {name: _random(*shape) for name, shape in _matrices(spec).items()}
            for _ in range(spec.num_layers)
        ]
        self._head = _random(spec.vocab_size, hidden)
        self._narrow = [_random(tokens, hidden) for _ in range(2)]
        self._qkv = [_random(tokens, 3 * hidden) for _ in range(2)]
        self._wide = [_random(tokens, spec.ffn_size) for _ in range(2)]
        self._logits = _random(tokens, spec.vocab_size)
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
        torch.mm(narrow, layer["qkv"].t(), out=self._qkv[0])
        self._pass(self._forward_rows["rotary"])
        self.attend()
        torch.mm(narrow, layer["dense"].t(), out=other)
        torch.mm(narrow, layer["up"].t(), out=self._wide[0])
        self._pass(self._forward_rows["activation"])
        torch.mm(self._wide[0], layer["down"].t(), out=other)
        self._pass(self._forward_rows["residual"])

    def backward(self, layer: dict[str, torch.Tensor]) -> None:
        narrow, other = self._narrow
        qkv, wide = self._qkv[0], self._wide[0]
        torch.mm(narrow, layer["down"], out=self._wide[1])
        torch.mm(narrow.t(), wide, out=self._gradient["down"])
        self._pass(self._backward_rows["activation"])
        torch.mm(wide, layer["up"], out=other)
        torch.mm(wide.t(), narrow, out=self._gradient["up"])
        torch.mm(narrow, layer["dense"], out=other)
        torch.mm(narrow.t(), other, out=self._gradient["dense"])
        self.attend_backward()
        self._pass(self._backward_rows["rotary"])
        torch.mm(qkv, layer["qkv"], out=other)
        torch.mm(qkv.t(), narrow, out=self._gradient["qkv"])
        self._pass(self._backward_rows["norms"] + self._backward_rows["bias"])

    def loss(self) -> None:
        """The head's three products; the logits are written once and read once more."""
        narrow, other = self._narrow
        torch.mm(narrow, self._head.t(), out=self._logits)
        self._move(loss_bytes_moved(self.spec, self._logits.shape[0], BF16_BYTES))
        torch.mm(self._logits, self._head, out=other)
        torch.mm(self._logits.t(), narrow, out=self._head_gradient)

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
