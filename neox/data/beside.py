"""Files that stand beside a set's: labels, rewards, and the rejected answers of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neox.data.errors import DataError
from neox.data.token_file import TokenFile

Names = tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What is known of the documents of one token file, document by document."""

    labels: TokenFile | None = None  # a value for each token, NOT_COUNTED where it is no target
    rewards: TokenFile | None = None  # the first value of a document is its reward
    rejected: TokenFile | None = None  # the other answer to each document's question
    rejected_labels: TokenFile | None = None


NOTHING_BESIDE = Beside()


class Named(Protocol):
    """Prefixes of files, one for each set, as a BlendSource names them."""

    @property
    def labels(self) -> Names: ...
    @property
    def rewards(self) -> Names: ...
    @property
    def rejected(self) -> Names: ...
    @property
    def rejected_labels(self) -> Names: ...


def files_beside(named: Named, files: Sequence[TokenFile]) -> list[Beside]:
    """Raises DataError where a file does not have the documents of its set."""
    labels = _opened(named.labels, files, "label")
    rewards = _opened(named.rewards, files, "reward")
    rejected = _opened(named.rejected, files, "rejected")
    rejected_labels = _opened(named.rejected_labels, files, "rejected label")
    found = []
    for file, *others in zip(files, labels, rewards, rejected, rejected_labels, strict=True):
        beside = Beside(
            labels=others[0], rewards=others[1], rejected=others[2], rejected_labels=others[3]
        )
        _require_labels(beside.labels, file)
        if beside.rejected is not None:
            _require_documents(beside.rejected, file, "the other answer to each document of")
            _require_labels(beside.rejected_labels, beside.rejected)
        if beside.rewards is not None:
            _require_rewards(beside.rewards, file)
        found.append(beside)
    return found


def fingerprint(file: TokenFile | None) -> str:
    return "" if file is None else file.fingerprint


def _opened(paths: Names, files: Sequence[TokenFile], kind: str) -> Sequence[TokenFile | None]:
    if paths is None:
        return [None] * len(files)
    if len(paths) != len(files):
        raise DataError(f"{len(files)} data paths, but {len(paths)} {kind} paths")
    return [TokenFile(path) for path in paths]


def _require_labels(labels: TokenFile | None, file: TokenFile) -> None:
    if labels is not None and not np.array_equal(labels.sizes, file.sizes):
        raise DataError(
            f"{labels.prefix}: its {len(labels):,} documents are not as long as the "
            f"{len(file):,} of {file.prefix}; labels need one value for each token"
        )


def _require_documents(beside: TokenFile, file: TokenFile, what: str) -> None:
    if len(beside) != len(file):
        raise DataError(
            f"{beside.prefix}: its {len(beside):,} documents should be {what} {file.prefix}, "
            f"which has {len(file):,}"
        )


def _require_rewards(rewards: TokenFile, file: TokenFile) -> None:
    _require_documents(rewards, file, "the rewards of those of")
    empty = np.flatnonzero((rewards.sizes == 0) & (file.sizes > 0))
    if len(empty):
        raise DataError(f"{rewards.prefix}: document {empty[0]:,} holds no reward")
