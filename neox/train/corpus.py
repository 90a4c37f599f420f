"""The loaders of training and evaluation, from a run's samples."""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist

from neox.config.run_config import RunConfig
from neox.data.batching import Masking
from neox.data.errors import DataError
from neox.data.loader import Geometry, Loader
from neox.data.samples import Samples
from neox.data.tokenizers import load_tokenizer
from neox.parallel.mesh import Mesh


def training_loader(
    config: RunConfig,
    samples: Samples,
    geometry: Geometry,
    mesh: Mesh,
    *,
    start: int,
    vocab_size: int,
) -> Loader:
    return Loader(
        samples,
        geometry,
        start=start,
        stop=len(samples),
        masking=_masking(config, vocab_size),
        sum_over_ranks=_sum_over(mesh),
    )


def evaluation_loader(
    config: RunConfig, samples: Samples, geometry: Geometry, *, round_number: int, vocab_size: int
) -> Loader:
    """The steps of the `round_number`-th evaluation; each round has samples of its own."""
    length = config.training.eval_iters * geometry.step_samples
    start = round_number * length
    return Loader(
        samples,
        geometry,
        start=start,
        stop=start + length,
        masking=_masking(config, vocab_size),
        sum_over_ranks=lambda weight: weight,  # an evaluation sums the weights itself
    )


def _masking(config: RunConfig, vocab_size: int) -> Masking:
    masking = Masking(
        vocab_size=vocab_size,
        documents=config.data.reset_attention_mask,
        positions=config.data.reset_position_ids,
    )
    if not config.data.eod_mask_loss:
        return masking
    section = config.tokenizer
    tokenizer = load_tokenizer(section.tokenizer_type, section.vocab_file, section.merge_file)
    if tokenizer.eod is None:
        raise DataError(f"eod_mask_loss: {section.vocab_file} has no end-of-document token")
    return replace(masking, eod=tokenizer.eod)


def _sum_over(mesh: Mesh) -> Callable[[float], float]:
    def summed(weight: float) -> float:
        if mesh.data_group is not None:
            on_device = torch.tensor(weight, dtype=torch.float64, device=mesh.device)
            dist.all_reduce(on_device, group=mesh.data_group)
            weight = float(on_device)
        if not weight:
            raise DataError("no token of the next step counts: its labels mask all of it")
        return weight

    return summed
