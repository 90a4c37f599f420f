"""The samples of training, validation and test, from the config's data keys."""

from pathlib import Path

from neox.config.run_config import RunConfig
from neox.data.errors import DataError
from neox.data.loader import Geometry, Loader, Masking
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


def training_loader(samples: Samples, geometry: Geometry, *, start: int, vocab_size: int) -> Loader:
    return Loader(
        samples,
        geometry,
        start=start,
        stop=len(samples),
        masking=Masking(vocab_size=vocab_size),
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
        masking=Masking(vocab_size=vocab_size),
    )


def _open(config: RunConfig, part: Part, samples: int, cache: Path | None) -> Samples:
    assert config.model.seq_length is not None
    request = OrderRequest(
        samples=samples,
        seq_length=config.model.seq_length,
        seed=config.training.seed,
        cache=cache,
    )
    data = config.data
    if data.data_path is not None:
        return open_split(SplitSource(data_path=data.data_path, split=data.split), part, request)
    paths, weights = _sets(config, part)
    if not paths:
        raise DataError(
            f"no {part.value} data: give data_path with split, or {part.value}_data_paths"
        )
    equal = tuple(1.0 for _ in paths)
    return open_blend(BlendSource(paths=paths, weights=weights or equal), request)


def _sets(config: RunConfig, part: Part) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    data = config.data
    match part:
        case Part.TRAIN:
            return data.train_data_paths or (), data.train_data_weights
        case Part.VALID:
            return data.valid_data_paths or (), data.valid_data_weights
        case Part.TEST:
            return data.test_data_paths or (), data.test_data_weights


def _has_test(config: RunConfig) -> bool:
    data = config.data
    if data.data_path is None:
        return bool(data.test_data_paths)
    return len(split_range(data.split, Part.TEST, len(TokenFile(data.data_path)))) > 0
