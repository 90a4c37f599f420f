"""The samples of training, validation and test, from the config's data keys.

Without torch and without a rank: a job on a node without GPUs builds the index maps of a run, and
the ranks of the run then find and memory-map them.
"""

from dataclasses import replace
from pathlib import Path

from neox.config.arguments.data import Data
from neox.config.data_sets import PartSets, sets_of_parts
from neox.config.run_config import RunConfig
from neox.data.errors import DataError
from neox.data.samples import Samples
from neox.data.sources import (
    BlendSource,
    OrderRequest,
    SplitSource,
    evaluation_samples,
    open_blend,
    open_split,
    training_samples,
)
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile


def training_order(config: RunConfig, cache: Path | None = None) -> Samples:
    training = config.training
    assert training.train_iters is not None and config.batch.train_batch_size is not None
    wanted = training_samples(training.train_iters, config.batch.train_batch_size)
    return _open(config, Part.TRAIN, wanted, cache)


def validation_order(config: RunConfig, cache: Path | None = None) -> Samples:
    training = config.training
    assert training.train_iters is not None and config.batch.train_batch_size is not None
    wanted = evaluation_samples(
        training.train_iters,
        training.eval_interval,
        training.eval_iters,
        config.batch.train_batch_size,
    )
    return _open(config, Part.VALID, wanted, cache)


def test_order(config: RunConfig, cache: Path | None = None) -> Samples | None:
    """One evaluation's worth; None where the config keeps no test documents."""
    if not _has_test(config):
        return None
    assert config.batch.train_batch_size is not None
    wanted = config.training.eval_iters * config.batch.train_batch_size
    return _open(config, Part.TEST, wanted, cache)


def _open(config: RunConfig, part: Part, samples: int, cache: Path | None) -> Samples:
    assert config.model.seq_length is not None
    request = OrderRequest(
        samples=samples,
        seq_length=config.model.seq_length,
        seed=config.training.seed,
        packing=config.data.pack_impl,
        allow_chopped=config.data.allow_chopped,
        order=config.data.order,
        cache=cache,
    )
    data = config.data
    if data.data_path is not None:
        return open_split(SplitSource(data_path=data.data_path, split=data.split), part, request)
    sets = _sets(data, part)
    if not sets.paths:
        raise DataError(
            f"no {part.value} data: give data_path with split, or {part.value}_data_paths"
        )
    equal = tuple(1.0 for _ in sets.paths)
    source = BlendSource(
        paths=sets.paths,
        weights=sets.weights or equal,
        by_documents=data.weight_by_num_documents,
        by_size=data.weight_by_size,
        alpha=data.weighted_sampler_alpha,
        labels=sets.labels,
        rewards=sets.rewards,
        rejected=sets.rejected,
        rejected_labels=sets.rejected_labels,
    )
    return open_blend(source, request)


def _sets(data: Data, part: Part) -> PartSets:
    """Of pairs, the chosen answers are the sets, and the rejected ones stand beside them."""
    sets = next(one for one in sets_of_parts(data) if one.name == part.value)
    if data.dataset_impl != "pairwise":
        return replace(sets, rejected=None, rejected_labels=None)
    return replace(sets, paths=sets.chosen, labels=sets.chosen_labels)


def _has_test(config: RunConfig) -> bool:
    data = config.data
    if data.data_path is None:
        return bool(_sets(data, Part.TEST).paths)
    return len(split_range(data.split, Part.TEST, len(TokenFile(data.data_path)))) > 0
