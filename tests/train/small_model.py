"""A tiny model and its micro-batches, the same in every test and in every process."""

import torch

from neox.data.batch import Batch
from neox.models.init import initialise
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from neox.objectives.language import CausalLanguageModel
from neox.train.forward import Trainee

SPEC = ModelSpec(
    num_layers=2,
    hidden_size=32,
    num_attention_heads=4,
    ffn_size=128,
    vocab_size=128,
    max_positions=32,
    rotary_dims=2,
    parallel_residual=True,
    tied_head=False,
)
MICRO_BATCHES = 4
SAMPLES = 2


def small_model(recompute: int = 0, seed: int = 1) -> Transformer:
    model = Transformer(SPEC, recompute=recompute)
    initialise(model, SPEC, seed)
    return model


def trainee(recompute: int = 0) -> Trainee:
    return Trainee(small_model(recompute), CausalLanguageModel())


def global_batch(step: int) -> list[Batch]:
    """Four micro-batches with unequal numbers of positions that count."""
    draw = torch.Generator().manual_seed(1000 + step)
    shape = (MICRO_BATCHES, SAMPLES, SPEC.max_positions + 1)
    tokens = torch.randint(0, SPEC.vocab_size, shape, generator=draw)
    tokens[..., 1::2] = (tokens[..., 0:-1:2] * 3 + 1) % SPEC.vocab_size  # something to learn
    masks = (torch.rand((*shape[:2], shape[2] - 1), generator=draw) < 0.8).float()
    weight = float(masks.sum())
    return [Batch(tokens=t, loss_mask=m, weight=weight) for t, m in zip(tokens, masks, strict=True)]


def share(batches: list[Batch], rank: int, ranks: int) -> list[Batch]:
    each = len(batches) // ranks
    return batches[rank * each : (rank + 1) * each]
