"""Which token comes next: GPT-NeoX's order, temperature, then top-k, then top-p."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """All three 0 is greedy."""

    temperature: float = 0.0  # divides the logits
    top_k: int = 0  # choose among this many
    top_p: float = 0.0  # choose among the likeliest whose probabilities reach this sum

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; give 0 or more")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; give 0 (all) or more")
        if not 0 <= self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a share from 0 (all) to 1")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0 and self.top_k == 0 and self.top_p == 0


def choose(
    logits: torch.Tensor, sampling: Sampling, generator: torch.Generator | None = None
) -> torch.Tensor:
    """One token [b] for each row of logits [b, vocab]."""
    if sampling.greedy:
        return logits.argmax(dim=-1)
    logits = logits.float()
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.top_k > 0:
        logits = _top_k(logits, sampling.top_k)
    if sampling.top_p > 0:
        logits = _top_p(logits, sampling.top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]


def _top_k(logits: torch.Tensor, count: int) -> torch.Tensor:
    least = logits.topk(min(count, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < least, -math.inf)


def _top_p(logits: torch.Tensor, share: float) -> torch.Tensor:
    """Keep the likeliest token and each next one while those before it sum to less than `share`."""
    ordered, order = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(dim=-1)
    before = probability.cumsum(dim=-1) - probability
    kept = ordered.masked_fill(before >= share, -math.inf)
    return torch.empty_like(logits).scatter_(-1, order, kept)
