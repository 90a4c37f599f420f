"""The samples of training, validation and test, from the config's data keys.

Without torch and without a rank: a job on a node without GPUs builds the index maps of a run, and
the ranks of the run then find and memory-map them.
"""

from pathlib import Path

from neox.config.arguments.data import Paths, Weights
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
    paths, weights, labels = _sets(config, part)
    if not paths:
        raise DataError(
            f"no {part.value} data: give data_path with split, or {part.value}_data_paths"
        )
    equal = tuple(1.0 for _ in paths)
    source = BlendSource(
        paths=paths,
        weights=weights or equal,
        by_documents=data.weight_by_num_documents,
        by_size=data.weight_by_size,
        alpha=data.weighted_sampler_alpha,
        labels=labels,
    )
    return open_blend(source, request)


def _sets(config: RunConfig, part: Part) -> tuple[Paths, Weights | None, Paths | None]:
    data = config.data
    match part:
        case Part.TRAIN:
            paths, labels = data.train_data_paths, data.train_label_data_paths
            return paths or (), data.train_data_weights, labels
        case Part.VALID:
            paths, labels = data.valid_data_paths, data.valid_label_data_paths
            return paths or (), data.valid_data_weights, labels
        case Part.TEST:
            paths, labels = data.test_data_paths, data.test_label_data_paths
            return paths or (), data.test_data_weights, labels


def _has_test(config: RunConfig) -> bool:
    data = config.data
    if data.data_path is None:
        return bool(data.test_data_paths)
    return len(split_range(data.split, Part.TEST, len(TokenFile(data.data_path)))) > 0
