"""What an order depends on: stored in every checkpoint, compared when a run goes on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from neox.data.errors import DataError


class OrderMismatch(DataError):
    """A run would go on with other data, or in another order, than it began with."""


@dataclass(frozen=True, kw_only=True)
class SetInputs:
    """One token file's part in an order."""

    path: str  # for messages; data may be moved
    fingerprint: str  # of the content
    first: int  # documents first to last - 1
    last: int
    weight: float  # normalised; 1 where there is only one set
    samples: int  # how many were asked of this set
    labels: str = ""  # fingerprint of the label file, where there is one; likewise the others
    rewards: str = ""
    rejected: str = ""  # the other answers, where these are pairs
    rejected_labels: str = ""


@dataclass(frozen=True, kw_only=True)
class OrderInputs:
    """All inputs of an order: the same inputs give the same sample at every position."""

    samples: int  # n, how many the run may read
    seed: int
    seq_length: int
    split: str  # as given; empty where every part has its own files
    sets: tuple[SetInputs, ...]
    order: str = "gpt-neox"
    packing: str = "packed"
    allow_chopped: bool = True

    def to_json(self) -> dict[str, object]:
        plain: dict[str, object] = asdict(self)
        plain["sets"] = [asdict(one) for one in self.sets]
        return plain

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> "OrderInputs":
        """Raises OrderMismatch when `saved` was not written by `to_json`."""
        try:
            sets = saved["sets"]
            assert isinstance(sets, list)
            fields = {**saved, "sets": tuple(SetInputs(**one) for one in sets)}
            return cls(**fields)  # type: ignore[arg-type]  # types are those to_json wrote
        except (KeyError, TypeError, AssertionError):
            raise OrderMismatch(
                f"the saved data order {json.dumps(saved)[:200]} cannot be understood; "
                "it was written by another version"
            ) from None


def require_same_order(saved: OrderInputs, now: OrderInputs) -> None:
    """Raises OrderMismatch naming everything that changed since `saved`."""
    longer = saved.order == now.order == "per-epoch"  # n may change: what was read stays first
    changes = [
        f"{name} was {before!r} and is {after!r}"
        for name, before, after in (
            (
                "the number of samples (train_iters x train_batch_size)",
                now.samples if longer else saved.samples,
                now.samples,
            ),
            ("order", saved.order, now.order),
            ("pack_impl", saved.packing, now.packing),
            ("allow_chopped", saved.allow_chopped, now.allow_chopped),
            ("seed", saved.seed, now.seed),
            ("seq_length", saved.seq_length, now.seq_length),
            ("split", saved.split, now.split),
            ("the number of data sets", len(saved.sets), len(now.sets)),
        )
        if before != after
    ]
    for before, after in zip(saved.sets, now.sets, strict=False):
        changes += _set_changes(before, after)
    if changes:
        raise OrderMismatch(
            "the run would not go on with the data it began with: " + "; ".join(changes) + ". "
            "Give the old values back, or begin a new run from these weights (finetune: true)"
        )


def _set_changes(before: SetInputs, after: SetInputs) -> list[str]:
    changes = []
    if before.fingerprint != after.fingerprint:
        changes.append(f"the content of {after.path} changed (it was {before.path})")
    elif (before.first, before.last) != (after.first, after.last):
        changes.append(
            f"documents of {after.path} were {before.first} to {before.last} "
            f"and are {after.first} to {after.last}"
        )
    for name, was, now in (
        ("labels", before.labels, after.labels),
        ("rewards", before.rewards, after.rewards),
        ("rejected answers", before.rejected, after.rejected),
        ("labels of rejected answers", before.rejected_labels, after.rejected_labels),
    ):
        if was != now:
            changes.append(f"the {name} of {after.path} changed")
    if before.weight != after.weight:
        changes.append(f"the weight of {after.path} was {before.weight} and is {after.weight}")
    return changes


def content_key(parts: Mapping[str, object]) -> str:
    """A file name for what depends on `parts` and on nothing else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
