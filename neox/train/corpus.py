"""The loaders of training and evaluation, from a run's samples."""

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
from neox.train.host_copy import HostCopy


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
        sum_over_ranks=WeightSum(mesh),
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


class WeightSum:
    """A step's weight, summed over the data ranks.

    On GPUs the sum stays there, because to read it every rank would wait for the step before. That
    a step has no weight is then found one step late, after its numbers were not finite and changed
    no weight.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._before: HostCopy | None = None

    def __call__(self, weight: float) -> float | torch.Tensor:
        """Raises DataError where nothing counts, on all ranks at the same step."""
        group = self._mesh.data_group
        if group is None:
            return _counting(weight)
        if self._before is not None:
            _counting(float(self._before.read()))
        total = torch.full((), weight, dtype=torch.float64, device=self._mesh.device)
        dist.all_reduce(total, group=group)
        if not total.is_cuda:
            return _counting(float(total))
        self._before = HostCopy(total)
        return total


def _counting(weight: float) -> float:
    if not weight:
        raise DataError("no token of a step counts: its labels mask all of it")
    return weight
