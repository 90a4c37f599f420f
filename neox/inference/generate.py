"""Continue prompts, token by token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from neox.inference.sampling import Sampling, choose
from neox.models.cache import KeyValueCache
from neox.models.transformer import Transformer


class GenerationError(ValueError):
    """A prompt that the model cannot continue."""


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What was written after one prompt."""

    tokens: tuple[int, ...]  # without the end-of-document token
    finished: bool  # the model ended the document


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    sampling: Sampling | None = None,
    maximum_tokens: int = 64,
    end: int | None = None,
    vocab_size: int | None = None,
    seed: int = 0,
    cached: bool = True,
) -> list[Continuation]:
    """Continue every prompt (their lengths may differ) until `end`, at most by `maximum_tokens`.

    `vocab_size` is the tokenizer's: rows beyond it are padding and never chosen. A text also ends
    where the model's positions do. Raises GenerationError for an empty or too long prompt.
    """
    _check(prompts, model)
    training = model.training
    model.eval()
    try:
        return _generate(
            model,
            prompts,
            sampling=sampling or Sampling(),
            maximum_tokens=maximum_tokens,
            end=end,
            vocab_size=vocab_size,
            seed=seed,
            cached=cached,
        )
    finally:
        model.train(training)


def _check(prompts: Sequence[Sequence[int]], model: Transformer) -> None:
    for number, prompt in enumerate(prompts, start=1):
        if not prompt:
            raise GenerationError(f"prompt {number} is empty; begin with the end-of-document token")
        if len(prompt) >= model.spec.max_positions:
            raise GenerationError(
                f"prompt {number} has {len(prompt):,} tokens; the model covers "
                f"{model.spec.max_positions:,} with the text: shorten the prompt"
            )
        if not all(0 <= token < model.spec.vocab_size for token in prompt):
            raise GenerationError(f"prompt {number} has a token outside the model's vocabulary")


def _generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    sampling: Sampling,
    maximum_tokens: int,
    end: int | None,
    vocab_size: int | None,
    seed: int,
    cached: bool,
) -> list[Continuation]:
    texts = [list(prompt) for prompt in prompts]
    finished = [False] * len(texts)
    longest = min(max(map(len, texts), default=0) + maximum_tokens, model.spec.max_positions)
    make = _Cached if cached else _Uncached
    reader: _NextLogits = make(model, batch=len(texts), capacity=longest)
    generator = torch.Generator(model.embedding.weight.device).manual_seed(seed)
    active = list(range(len(texts)))
    for _ in range(maximum_tokens):
        if not active:
            break
        logits = reader.read([texts[row] for row in active])
        if vocab_size is not None:
            logits[:, vocab_size:] = -math.inf
        chosen: list[int] = choose(logits, sampling, generator).tolist()
        for row, token in zip(active, chosen, strict=True):
            finished[row] = token == end
            if not finished[row]:
                texts[row].append(token)
        going = [row for row in active if not finished[row] and len(texts[row]) < longest]
        reader.drop([active.index(row) for row in going], len(active))
        active = going
    return [
        Continuation(tokens=tuple(text[len(prompt) :]), finished=done)
        for text, prompt, done in zip(texts, prompts, finished, strict=True)
    ]


class _NextLogits(Protocol):
    def read(self, texts: list[list[int]]) -> torch.Tensor:
        """Logits [b, vocab] of the token after each text."""

    def drop(self, kept: list[int], of: int) -> None:
        """Go on with these rows alone."""


class _Uncached:
    """Reads every text anew for every token; the reference for the cache."""

    def __init__(self, model: Transformer, *, batch: int, capacity: int) -> None:
        del batch, capacity
        self.model = model

    def read(self, texts: list[list[int]]) -> torch.Tensor:
        return _last(self.model(_padded(texts, self.model)), texts)

    def drop(self, kept: list[int], of: int) -> None:
        """Nothing is kept between tokens."""


class _Cached:
    def __init__(self, model: Transformer, *, batch: int, capacity: int) -> None:
        weight = model.embedding.weight
        self.model = model
        self.cache = KeyValueCache(
            model.spec, batch=batch, capacity=capacity, dtype=weight.dtype, device=weight.device
        )

    def read(self, texts: list[list[int]]) -> torch.Tensor:
        if self.cache.longest:
            news = _padded([text[-1:] for text in texts], self.model)
            logits: torch.Tensor = self.model(news, self.cache)
            return logits[:, -1]
        logits = self.model(_padded(texts, self.model), self.cache)
        self.cache.keep([len(text) for text in texts])
        return _last(logits, texts)

    def drop(self, kept: list[int], of: int) -> None:
        if kept and len(kept) < of:
            longest = max(self.cache.lengths[kept].tolist())
            self.cache.keep_rows(kept, longest)


def _padded(texts: list[list[int]], model: Transformer) -> torch.Tensor:
    """[b, longest], filled up at the right, where causal attention never looks."""
    longest = max(map(len, texts))
    rows = [text + [0] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, device=model.embedding.weight.device)


def _last(logits: torch.Tensor, texts: list[list[int]]) -> torch.Tensor:
    """Logits [b, vocab] at the last token of each text."""
    last = torch.tensor([len(text) - 1 for text in texts], device=logits.device)
    return logits[torch.arange(len(texts), device=logits.device), last]
