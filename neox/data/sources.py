"""From the config's data keys to samples: `data_path` with `split`, or `*_data_paths`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from neox.data.blend import (
    Blend,
    blend,
    normalised,
    samples_per_set,
    weights_by_documents,
    weights_by_size,
)
from neox.data.errors import DataError
from neox.data.map_cache import cache_folders, cached_maps
from neox.data.order import IntArray, Order, build_order
from neox.data.order_inputs import OrderInputs, SetInputs, content_key
from neox.data.packing import Mask, overflow_order, per_epoch_order, unpacked_order, usable
from neox.data.samples import NOT_COUNTED, BlendedSamples, PackedSamples, Samples, WholeSamples
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile

ORDER_MAPS = ("documents", "samples", "shuffle")
BLEND_MAPS = ("sets", "within")


@dataclass(frozen=True, kw_only=True)
class SplitSource:
    """One token file, cut by `split` into the three parts."""

    data_path: str
    split: str


@dataclass(frozen=True, kw_only=True)
class BlendSource:
    """Token files of one part, mixed by weight: `train_data_paths` and `train_data_weights`."""

    paths: tuple[str, ...]
    weights: tuple[float, ...]  # one per path; not read when by_documents
    by_documents: bool = False  # weight_by_num_documents
    by_size: bool = False  # weight_by_size
    alpha: float = 1.0  # weighted_sampler_alpha
    labels: tuple[str, ...] | None = None  # one per path


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    samples: int  # n, how many the run will read
    seq_length: int
    seed: int
    packing: Literal["packed", "pack_until_overflow", "unpacked"] = "packed"
    allow_chopped: bool = True  # not read when packed
    order: Literal["gpt-neox", "per-epoch"] = "gpt-neox"
    cache: Path | None = None  # where index maps go; None: beside the data, or the user's cache


def training_samples(train_iters: int, train_batch_size: int) -> int:
    """n of the training order."""
    return train_iters * train_batch_size


def evaluation_samples(
    train_iters: int, eval_interval: int, eval_iters: int, train_batch_size: int
) -> int:
    """n of the validation order: one evaluation per interval, and one at the end."""
    return (train_iters // eval_interval + 1) * eval_iters * train_batch_size


def open_split(source: SplitSource, part: Part, request: OrderRequest) -> Samples:
    """The samples of one part of a single token file.

    Raises DataError when the file is missing or damaged, or the part holds no document.
    """
    file = TokenFile(source.data_path)
    chosen = split_range(source.split, part, len(file))
    if len(chosen) == 0:
        raise DataError(
            f"split: {source.split!r} leaves no document for {part} out of the {len(file):,} of "
            f"{file.prefix}; give {part} a larger share"
            + ("" if part is Part.TRAIN else ", or set eval_iters: 0")
        )
    return _packed(file, chosen, request, split=source.split, weight=1.0)


def open_blend(source: BlendSource, request: OrderRequest) -> Samples:
    """The samples of one part that has token files of its own.

    Raises DataError when a file is missing or damaged, or weights do not fit the paths.
    """
    if not source.paths or len(source.paths) != len(source.weights):
        raise DataError(
            f"{len(source.paths)} data paths, but {len(source.weights)} weights; give one each"
        )
    files = [TokenFile(path) for path in source.paths]
    weights = _weights(source, files)
    labels = _labels(source, files)
    wanted = samples_per_set(weights, request.samples)
    sets = [
        _packed(
            file,
            range(len(file)),
            replace(request, samples=count),
            split="",
            weight=weight,
            labels=label,
        )
        for file, count, weight, label in zip(files, wanted, weights, labels, strict=True)
    ]
    inputs = replace(
        sets[0].inputs,
        samples=request.samples,
        sets=tuple(one for each in sets for one in each.inputs.sets),
    )
    return BlendedSamples(sets, _cached_blend(weights, files[0], request), inputs)


def _weights(source: BlendSource, files: Sequence[TokenFile]) -> list[float]:
    if source.by_documents:
        return normalised(weights_by_documents([len(file) for file in files], source.alpha))
    if source.by_size:
        return weights_by_size([len(file) for file in files], source.alpha)
    return normalised(source.weights)


def _labels(source: BlendSource, files: Sequence[TokenFile]) -> list[TokenFile | None]:
    """Raises DataError where a label file does not have the documents of its set."""
    if source.labels is None:
        return [None] * len(files)
    if len(source.labels) != len(files):
        raise DataError(f"{len(files)} data paths, but {len(source.labels)} label paths")
    opened = list[TokenFile | None]()
    for file, path in zip(files, source.labels, strict=True):
        labels = TokenFile(path)
        if not np.array_equal(labels.sizes, file.sizes):
            raise DataError(
                f"{labels.prefix}: its {len(labels):,} documents are not as long as the "
                f"{len(file):,} of {file.prefix}; labels need one value for each token"
            )
        opened.append(labels)
    return opened


def _packed(
    file: TokenFile,
    chosen: range,
    request: OrderRequest,
    *,
    split: str,
    weight: float,
    labels: TokenFile | None = None,
) -> PackedSamples | WholeSamples:
    part = SetInputs(
        path=str(file.prefix),
        fingerprint=file.fingerprint,
        first=chosen.start,
        last=chosen.stop,
        weight=weight,
        samples=request.samples,
        labels="" if labels is None else labels.fingerprint,
    )
    inputs = OrderInputs(
        samples=request.samples,
        seed=request.seed,
        seq_length=request.seq_length,
        split=split,
        sets=(part,),
        order=request.order,
        packing=request.packing,
        allow_chopped=request.allow_chopped,
    )
    order = _cached_order(file, chosen, request, labels)
    if request.packing == "packed":
        return PackedSamples(file, order, inputs, labels)
    return WholeSamples(file, order, inputs, labels)


def _build(
    file: TokenFile, chosen: range, request: OrderRequest, labels: TokenFile | None
) -> Order:
    sizes, length, samples, seed = file.sizes, request.seq_length, request.samples, request.seed
    if request.packing == "packed":
        build = per_epoch_order if request.order == "per-epoch" else build_order
        return build(sizes, chosen, seq_length=length, samples=samples, seed=seed)
    if request.order == "per-epoch":
        raise DataError(f"order: per-epoch is for pack_impl: packed, not {request.packing}")
    kept = usable(
        sizes,
        chosen,
        seq_length=length,
        allow_chopped=request.allow_chopped,
        masked=_masked(labels, chosen, length),
    )
    if request.packing == "unpacked":
        return unpacked_order(chosen, kept, samples=samples, seed=seed)
    return overflow_order(sizes, chosen, kept, seq_length=length, samples=samples, seed=seed)


def _masked(labels: TokenFile | None, chosen: range, seq_length: int) -> Mask:
    """Which of the documents `chosen` have no target within a sample's length."""
    if labels is None:
        return np.zeros(len(chosen), np.bool_)
    targets = np.flatnonzero(labels.tokens != NOT_COUNTED)
    starts = labels.offsets[chosen.start : chosen.stop] // labels.dtype.itemsize
    read = np.minimum(labels.sizes[chosen.start : chosen.stop], seq_length + 1)
    masked: Mask = np.searchsorted(targets, starts) == np.searchsorted(targets, starts + read)
    return masked


def _cached_order(
    file: TokenFile, chosen: range, request: OrderRequest, labels: TokenFile | None
) -> Order:
    def build() -> dict[str, IntArray]:
        file.verify()
        order = _build(file, chosen, request, labels)
        return {name: vars(order)[name] for name in ORDER_MAPS}

    key = content_key(
        {
            "kind": _kind(request, labels),
            "content": file.fingerprint,
            "documents": [chosen.start, chosen.stop],
            "samples": request.samples,
            "seq_length": request.seq_length,
            "seed": request.seed,
        }
    )
    maps = cached_maps(key, ORDER_MAPS, cache_folders(file.prefix, request.cache), build)
    return Order(documents=maps["documents"], samples=maps["samples"], shuffle=maps["shuffle"])


def _kind(request: OrderRequest, labels: TokenFile | None) -> str:
    if request.packing == "packed":
        return "packed" if request.order == "gpt-neox" else "per-epoch"
    chopped = "chopped" if request.allow_chopped else "whole"
    return f"{request.packing} {chopped} {'' if labels is None else labels.fingerprint}"


def _cached_blend(weights: Sequence[float], first: TokenFile, request: OrderRequest) -> Blend:
    def build() -> dict[str, IntArray]:
        mixture = blend(weights, request.samples)
        return {"sets": mixture.sets, "within": mixture.within}

    key = content_key({"kind": "blend", "weights": list(weights), "samples": request.samples})
    maps = cached_maps(key, BLEND_MAPS, cache_folders(first.prefix, request.cache), build)
    return Blend(sets=maps["sets"], within=maps["within"])
