"""The pieces of a training step, each as fast as the card does it alone, in the step's order.

No step can be faster than its matrix products, its attention, one pass over memory for each
elementwise stage, and one for the optimizer. The products run in the model's own shapes (forward,
input gradient, weight gradient), attention through cuDNN, and every pass is a plain copy that
moves as many bytes as the stage must read and write.
"""

import torch

from neox.models.count import parameters
from neox.models.spec import ModelSpec

BF16_BYTES = 2
# master, both moments: read and written in fp32; gradient read twice (norm, update); weight written
OPTIMIZER_BYTES = 3 * 8 + 2 * BF16_BYTES + BF16_BYTES

# rows of [tokens, hidden] in bf16 that each stage must move, reads and writes together; the model
# is Pythia's: two norms of one input, a quarter of each head rotated, residuals added at once
FORWARD_ROWS = {"norms": 3, "rotary": 4, "gelu": 8, "residual": 4}
BACKWARD_ROWS = {"gelu": 12, "rotary": 4, "bias": 1 + 1 + 3, "norms": 5}


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

    def step(self) -> None:
        for layer in self._layers:
            self.forward(layer)
        self.loss()
        for layer in reversed(self._layers):
            self.backward(layer)
        self.optimizer()

    def forward(self, layer: dict[str, torch.Tensor]) -> None:
        narrow, other = self._narrow
        self._move(FORWARD_ROWS["norms"] * self._rows)
        torch.mm(narrow, layer["qkv"].t(), out=self._qkv[0])
        self._move(FORWARD_ROWS["rotary"] * self._rows)
        self.attend()
        torch.mm(narrow, layer["dense"].t(), out=other)
        torch.mm(narrow, layer["up"].t(), out=self._wide[0])
        self._move(FORWARD_ROWS["gelu"] * self._rows)
        torch.mm(self._wide[0], layer["down"].t(), out=other)
        self._move(FORWARD_ROWS["residual"] * self._rows)

    def backward(self, layer: dict[str, torch.Tensor]) -> None:
        narrow, other = self._narrow
        qkv, wide = self._qkv[0], self._wide[0]
        torch.mm(narrow, layer["down"], out=self._wide[1])
        torch.mm(narrow.t(), wide, out=self._gradient["down"])
        self._move(BACKWARD_ROWS["gelu"] * self._rows)
        torch.mm(wide, layer["up"], out=other)
        torch.mm(wide.t(), narrow, out=self._gradient["up"])
        torch.mm(narrow, layer["dense"], out=other)
        torch.mm(narrow.t(), other, out=self._gradient["dense"])
        self.attend_backward()
        self._move(BACKWARD_ROWS["rotary"] * self._rows)
        torch.mm(qkv, layer["qkv"], out=other)
        torch.mm(qkv.t(), narrow, out=self._gradient["qkv"])
        self._move((BACKWARD_ROWS["norms"] + BACKWARD_ROWS["bias"]) * self._rows)

    def loss(self) -> None:
        """The head's three products; the logits are written once and read once more."""
        narrow, other = self._narrow
        torch.mm(narrow, self._head.t(), out=self._logits)
        self._move(2 * self._logits.numel() * BF16_BYTES)
        torch.mm(self._logits, self._head, out=other)
        torch.mm(self._logits.t(), narrow, out=self._head_gradient)

    def optimizer(self) -> None:
        self._move(parameters(self.spec).total * OPTIMIZER_BYTES)

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

    def _move(self, read_and_written: int) -> None:
        """Copy so that this many bytes are read and written together."""
        left = read_and_written // 2
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
