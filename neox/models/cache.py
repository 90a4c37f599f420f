"""Keys and values of the tokens that a generation has already read."""

import torch

from neox.models.spec import ModelSpec

# Attention reads the cache in lengths of whole blocks: a GPU library that plans for each new shape
# (cuDNN: 100 ms on an H100) would otherwise plan for every token.
BLOCK = 128


class KeyValueCache:
    """Room for `capacity` tokens in each of `batch` rows, which may differ in length.

    Row i holds the keys of positions 0 ... lengths[i] - 1; what lies beyond is overwritten by the
    next tokens and never seen. So a ragged batch is read padded at the right and then cut to its
    true lengths with `keep`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        batch: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (spec.num_layers, batch, spec.num_attention_heads, capacity, spec.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = torch.zeros(batch, dtype=torch.int64, device=device)
        self.longest = 0  # max(lengths), known without asking the device
        self._rows = torch.arange(batch, device=device)[:, None]

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def next_positions(self, count: int) -> torch.Tensor:
        """Positions [b, count] of the next `count` tokens of each row."""
        assert self.longest + count <= self.capacity, "more tokens than the cache has room for"
        return self.lengths[:, None] + torch.arange(count, device=self.lengths.device)

    def visible(self, positions: torch.Tensor) -> torch.Tensor | None:
        """What the queries at `positions` [b, s] see [b, 1, s, keys]; None is plain causal."""
        if self.longest == 0:
            return None
        keys = torch.arange(self._read_to(positions.shape[1]), device=positions.device)
        return (keys <= positions[:, :, None])[:, None]

    def extend(
        self, layer: int, positions: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store key and value [b, heads, s, d] and return those of all positions so far."""
        # indexing by two tensors puts their axes first, hence the transposes
        self.keys[layer].transpose(1, 2)[self._rows, positions] = key.transpose(1, 2)
        self.values[layer].transpose(1, 2)[self._rows, positions] = value.transpose(1, 2)
        end = self._read_to(positions.shape[1])
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def _read_to(self, count: int) -> int:
        """The last position, rounded up, that the next `count` tokens of any row may see."""
        end = self.longest + count
        if self.longest == 0:
            return end  # plain causal attention wants as many keys as queries
        return min(-(-end // BLOCK) * BLOCK, self.capacity)

    def advance(self, count: int) -> None:
        """Count the tokens whose keys all layers have stored."""
        self.lengths += count
        self.longest += count

    def keep(self, lengths: list[int]) -> None:
        """Forget what lies beyond each row's own length: padding."""
        assert max(lengths) <= self.longest
        self.lengths.copy_(torch.tensor(lengths, device=self.lengths.device))
        self.longest = max(lengths)

    def keep_rows(self, rows: list[int], longest: int) -> None:
        """Go on with these rows alone, the longest of which holds `longest` tokens."""
        chosen = torch.tensor(rows, device=self.lengths.device)
        self.keys, self.values = self.keys[:, chosen], self.values[:, chosen]
        self.lengths, self._rows = self.lengths[chosen], self._rows[: len(rows)]
        self.longest = longest
