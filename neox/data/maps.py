"""`neox data maps RUN_YML`: build the index maps of a run before it starts."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.data import run_order
from neox.data.errors import DataError
from neox.data.samples import Samples


def config_with_data(run_yml: Path, ranks: int | None) -> RunConfig | None:
    """The config of a run of `ranks`; None where it names no token files.

    Raises DataError with everything that is wrong with it.
    """
    try:
        given = load([run_yml])
        if not any(given.values.get(key) for key in ("data_path", "train_data_paths")):
            return None
        return resolve(given, ranks)
    except ConfigErrors as errors:
        raise DataError(str(errors)) from None


def build_maps(config: RunConfig, tell: Callable[[str], None] = print) -> None:
    """The maps of training, validation and test lie beside the data, or in the user's cache.

    Raises DataError where the config does not say how many samples the run reads.
    """
    _require_length(config)
    parts: list[tuple[str, Callable[[RunConfig], Samples | None]]] = [
        ("train", run_order.training_order)
    ]
    if config.training.eval_iters:
        parts += [("valid", run_order.validation_order), ("test", run_order.test_order)]
    for name, build in parts:
        begin = time.monotonic()
        samples = build(config)
        if samples is not None:
            sets, seconds = len(samples.inputs.sets), time.monotonic() - begin
            tell(
                f"{name}: {len(samples):,} samples of {samples.inputs.seq_length:,} tokens "
                f"out of {sets:,} token file{'s' * (sets != 1)}, {seconds:.1f} s"
            )
    sys.stdout.flush()


def _require_length(config: RunConfig) -> None:
    missing = [
        name
        for name, value in (
            ("seq_length", config.model.seq_length),
            ("train_iters", config.training.train_iters),
            ("train_batch_size", config.batch.train_batch_size),
        )
        if value is None
    ]
    if missing:
        raise DataError(
            f"{', '.join(missing)}: not known, and the order of samples depends on it; give "
            + (
                "train_batch_size=N as the run has it, or --ranks with its data-parallel ranks"
                if missing == ["train_batch_size"]
                else "the config that the run trains with"
            )
        )
