"""From the config's data keys to samples: `data_path` with `split`, or `*_data_paths`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from neox.data.beside import NOTHING_BESIDE, Beside, files_beside, fingerprint
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
from neox.data.rows import NOT_COUNTED
from neox.data.samples import BlendedSamples, PackedSamples, Samples
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile
from neox.data.whole_samples import PairedSamples, WholeSamples

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
    labels: tuple[str, ...] | None = None  # one per path, as are the others
    rewards: tuple[str, ...] | None = None
    rejected: tuple[str, ...] | None = None  # answers beside those of `paths`: pairs
    rejected_labels: tuple[str, ...] | None = None


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
    beside = files_beside(source, files)
    wanted = samples_per_set(weights, request.samples)
    sets = [
        _packed(
            file,
            range(len(file)),
            replace(request, samples=count),
            split="",
            weight=weight,
            beside=others,
        )
        for file, count, weight, others in zip(files, wanted, weights, beside, strict=True)
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


def _packed(
    file: TokenFile,
    chosen: range,
    request: OrderRequest,
    *,
    split: str,
    weight: float,
    beside: Beside = NOTHING_BESIDE,
) -> Samples:
    part = SetInputs(
        path=str(file.prefix),
        fingerprint=file.fingerprint,
        first=chosen.start,
        last=chosen.stop,
        weight=weight,
        samples=request.samples,
        labels=fingerprint(beside.labels),
        rewards=fingerprint(beside.rewards),
        rejected=fingerprint(beside.rejected),
        rejected_labels=fingerprint(beside.rejected_labels),
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
    order = _cached_order(file, chosen, request, beside)
    if request.packing == "packed":
        return PackedSamples(file, order, inputs, beside.labels)
    samples = WholeSamples(file, order, inputs, beside.labels, beside.rewards)
    if beside.rejected is None:
        return samples
    others = WholeSamples(beside.rejected, order, inputs, beside.rejected_labels)
    return PairedSamples(samples, others)


def _build(file: TokenFile, chosen: range, request: OrderRequest, beside: Beside) -> Order:
    sizes, length, samples, seed = file.sizes, request.seq_length, request.samples, request.seed
    if request.packing == "packed":
        build = per_epoch_order if request.order == "per-epoch" else build_order
        return build(sizes, chosen, seq_length=length, samples=samples, seed=seed)
    if request.order == "per-epoch":
        raise DataError(f"order: per-epoch is for pack_impl: packed, not {request.packing}")
    kept = _usable(file, chosen, request, beside.labels)
    if beside.rejected is not None:
        kept &= _usable(beside.rejected, chosen, request, beside.rejected_labels)
        if not kept.any():
            raise DataError(f"{file.prefix}: of every pair, one of the answers cannot be read")
    if request.packing == "unpacked":
        return unpacked_order(chosen, kept, samples=samples, seed=seed)
    return overflow_order(sizes, chosen, kept, seq_length=length, samples=samples, seed=seed)


def _usable(
    file: TokenFile, chosen: range, request: OrderRequest, labels: TokenFile | None
) -> Mask:
    return usable(
        file.sizes,
        chosen,
        seq_length=request.seq_length,
        allow_chopped=request.allow_chopped,
        masked=_masked(labels, chosen, request.seq_length),
    )


def _masked(labels: TokenFile | None, chosen: range, seq_length: int) -> Mask:
    """Which of the documents `chosen` have no target within a sample's length."""
    if labels is None:
        return np.zeros(len(chosen), np.bool_)
    targets = np.flatnonzero(labels.tokens != NOT_COUNTED)
    starts = labels.offsets[chosen.start : chosen.stop] // labels.dtype.itemsize
    read = np.minimum(labels.sizes[chosen.start : chosen.stop], seq_length + 1)
    masked: Mask = np.searchsorted(targets, starts) == np.searchsorted(targets, starts + read)
    return masked


def _cached_order(file: TokenFile, chosen: range, request: OrderRequest, beside: Beside) -> Order:
    def build() -> dict[str, IntArray]:
        file.verify()
        order = _build(file, chosen, request, beside)
        return {name: vars(order)[name] for name in ORDER_MAPS}

    key = content_key(
        {
            "kind": _kind(request, beside),
            "content": file.fingerprint,
            "documents": [chosen.start, chosen.stop],
            "samples": request.samples,
            "seq_length": request.seq_length,
            "seed": request.seed,
        }
    )
    maps = cached_maps(key, ORDER_MAPS, cache_folders(file.prefix, request.cache), build)
    return Order(documents=maps["documents"], samples=maps["samples"], shuffle=maps["shuffle"])


def _kind(request: OrderRequest, beside: Beside) -> str:
    if request.packing == "packed":
        return "packed" if request.order == "gpt-neox" else "per-epoch"
    chopped = "chopped" if request.allow_chopped else "whole"
    pairs = f" {fingerprint(beside.rejected)} {fingerprint(beside.rejected_labels)}"
    known = f"{request.packing} {chopped} {fingerprint(beside.labels)}"
    return known if beside.rejected is None else known + pairs


def _cached_blend(weights: Sequence[float], first: TokenFile, request: OrderRequest) -> Blend:
    def build() -> dict[str, IntArray]:
        mixture = blend(weights, request.samples)
        return {"sets": mixture.sets, "within": mixture.within}

    key = content_key({"kind": "blend", "weights": list(weights), "samples": request.samples})
    maps = cached_maps(key, BLEND_MAPS, cache_folders(first.prefix, request.cache), build)
    return Blend(sets=maps["sets"], within=maps["within"])
