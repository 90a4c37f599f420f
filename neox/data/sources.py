"""From the config's data keys to samples: `data_path` with `split`, or `*_data_paths`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neox.data.blend import Blend, blend, normalised, samples_per_set, weights_by_documents
from neox.data.errors import DataError
from neox.data.map_cache import cache_folders, cached_maps
from neox.data.order import IntArray, Order, build_order
from neox.data.order_inputs import OrderInputs, SetInputs, content_key
from neox.data.samples import BlendedSamples, PackedSamples, Samples
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
    alpha: float = 1.0  # weighted_sampler_alpha


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    samples: int  # n, how many the run will read
    seq_length: int
    seed: int
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
    wanted = samples_per_set(weights, request.samples)
    sets = [
        _packed(
            file,
            range(len(file)),
            OrderRequest(
                samples=count,
                seq_length=request.seq_length,
                seed=request.seed,
                cache=request.cache,
            ),
            split="",
            weight=weight,
        )
        for file, count, weight in zip(files, wanted, weights, strict=True)
    ]
    inputs = OrderInputs(
        samples=request.samples,
        seed=request.seed,
        seq_length=request.seq_length,
        split="",
        sets=tuple(one for each in sets for one in each.inputs.sets),
    )
    return BlendedSamples(sets, _cached_blend(weights, files[0], request), inputs)


def _weights(source: BlendSource, files: Sequence[TokenFile]) -> list[float]:
    if source.by_documents:
        return normalised(weights_by_documents([len(file) for file in files], source.alpha))
    return normalised(source.weights)


def _packed(
    file: TokenFile, chosen: range, request: OrderRequest, *, split: str, weight: float
) -> PackedSamples:
    part = SetInputs(
        path=str(file.prefix),
        fingerprint=file.fingerprint,
        first=chosen.start,
        last=chosen.stop,
        weight=weight,
        samples=request.samples,
    )
    inputs = OrderInputs(
        samples=request.samples,
        seed=request.seed,
        seq_length=request.seq_length,
        split=split,
        sets=(part,),
    )
    return PackedSamples(file, _cached_order(file, chosen, request), inputs)


def _cached_order(file: TokenFile, chosen: range, request: OrderRequest) -> Order:
    def build() -> dict[str, IntArray]:
        file.verify()
        order = build_order(
            file.sizes,
            chosen,
            seq_length=request.seq_length,
            samples=request.samples,
            seed=request.seed,
        )
        return {name: vars(order)[name] for name in ORDER_MAPS}

    key = content_key(
        {
            "kind": "packed",
            "content": file.fingerprint,
            "documents": [chosen.start, chosen.stop],
            "samples": request.samples,
            "seq_length": request.seq_length,
            "seed": request.seed,
        }
    )
    maps = cached_maps(key, ORDER_MAPS, cache_folders(file.prefix, request.cache), build)
    return Order(documents=maps["documents"], samples=maps["samples"], shuffle=maps["shuffle"])


def _cached_blend(weights: Sequence[float], first: TokenFile, request: OrderRequest) -> Blend:
    def build() -> dict[str, IntArray]:
        mixture = blend(weights, request.samples)
        return {"sets": mixture.sets, "within": mixture.within}

    key = content_key({"kind": "blend", "weights": list(weights), "samples": request.samples})
    maps = cached_maps(key, BLEND_MAPS, cache_folders(first.prefix, request.cache), build)
    return Blend(sets=maps["sets"], within=maps["within"])
