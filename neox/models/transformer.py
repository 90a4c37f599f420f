"""The decoder of the GPT-NeoX family, from token ids to logits."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from neox.models.cache import KeyValueCache
from neox.models.layers import Context, Embedding, Layer, LayerNorm, Linear, Residual
from neox.models.spec import ModelSpec
from neox.ops.attention import scores, within_documents
from neox.ops.ranges import Range, profiled
from neox.ops.rotary import Rotation, rotary_table

Block = Callable[[Residual, Context], Residual]


class Transformer(nn.Module):
    """`named_parameters()` gives the logical names of `neox.models.shapes`.

    Fresh parameters are not initialised: call `neox.models.init.initialise` or load them.
    `recompute` is how many layers share one stored activation in training (0: keep all).
    """

    def __init__(self, spec: ModelSpec, *, recompute: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.recompute = recompute
        self.embedding = Embedding(spec.vocab_size, spec.hidden_size)
        self.dropout = nn.Dropout(spec.hidden_dropout)
        self.layers = nn.ModuleList(Layer(spec, index) for index in range(spec.num_layers))
        self.final_norm = LayerNorm(spec)
        self.head = (
            None if spec.tied_head else Linear(spec.hidden_size, spec.vocab_size, bias=False)
        )
        # not a buffer: casting the model to bf16 must not round the table
        self._table: Rotation | None = None

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache | None = None) -> torch.Tensor:
        """Logits [b, s, vocab] for tokens [b, s]; with a cache they continue what it holds."""
        return F.linear(self.hidden(tokens, cache), self.output_matrix)

    def hidden(
        self,
        tokens: torch.Tensor,
        cache: KeyValueCache | None = None,
        *,
        documents: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What the output matrix is applied to, [b, s, h].

        Without a cache, tokens of a row see only those of the same number in `documents` [b, s];
        `positions` [b, s] are 0 to s - 1 unless they are given.
        """
        context = self._context(tokens, cache, documents, positions)
        stream = Residual(self.dropout(self.embedding(tokens)))
        for number, run in enumerate(self._runs()):
            stream = run_in_range(f"layer {number}", run, stream, context)
        if cache is not None:
            cache.advance(tokens.shape[1])
        return stream.normed(self.final_norm)[1]

    @property
    def output_matrix(self) -> torch.Tensor:
        """[vocab, h]; the embedding where the head is tied to it."""
        return self.embedding.weight if self.head is None else self.head.weight

    def _runs(self) -> list[Block]:
        layers: list[Block] = list(self.layers)
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return layers
        size = self.recompute
        return [_recomputed(layers[at : at + size]) for at in range(0, len(layers), size)]

    def _context(
        self,
        tokens: torch.Tensor,
        cache: KeyValueCache | None,
        documents: torch.Tensor | None,
        positions: torch.Tensor | None,
    ) -> Context:
        if cache is None:
            assert tokens.shape[1] <= self.spec.max_positions
            at = slice(tokens.shape[1]) if positions is None else positions
            seen = None
            if documents is not None:
                seen = scores(within_documents(documents), self.embedding.weight.dtype)
            return Context(self._rotation(at, tokens.device), visible=seen)
        assert documents is None and positions is None, "a cache holds one document a row"
        positions = cache.next_positions(tokens.shape[1])
        return Context(self._rotation(positions, tokens.device), cache, positions)

    def _rotation(self, positions: slice | torch.Tensor, device: torch.device) -> Rotation | None:
        """cos and sin at `positions`, [1 or b, s, dims / 2]."""
        spec = self.spec
        if spec.rotary_dims == 0:
            return None
        if self._table is None or self._table[0].device != device:
            self._table = rotary_table(
                spec.max_positions, spec.rotary_dims, spec.rotary_base, device
            )
        cos, sin = (table[positions] for table in self._table)
        return (cos[None], sin[None]) if cos.ndim == 2 else (cos, sin)


def run_in_range(name: str, run: Block, stream: Residual, context: Context) -> Residual:
    """A block (a layer, or those recomputed together), named in a profile both ways."""
    if not profiled():
        return run(stream, context)
    inside = Range(name)
    x, added = run(Residual(inside.enter(stream.x), stream.added), context)
    return Residual(inside.leave(x), added)


def _recomputed(layers: list[Block]) -> Block:
    """The layers in a row, keeping only their input for the backward pass."""

    def forward(stream: Residual, context: Context) -> Residual:
        for layer in layers:
            stream = layer(stream, context)
        return stream

    def run(stream: Residual, context: Context) -> Residual:
        kept = Residual(stream.total())  # one tensor, not the parts of its sum
        output: Residual = checkpoint(forward, kept, context, use_reentrant=False)
        return output

    return run
