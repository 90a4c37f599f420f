"""How `split` cuts the documents of one token file into training, validation and test."""

from enum import StrEnum

from neox.data.errors import DataError


class Part(StrEnum):
    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


def split_boundaries(split: str, documents: int) -> tuple[int, int, int, int]:
    """Document numbers 0, end of training, end of validation, end of test.

    Documents are cut in file order. The rule is GPT-NeoX's `get_train_valid_test_split_`
    (megatron/data/data_utils.py), banker's rounding included, so that a run's parts stay the same.
    The one difference: where it would put a boundary below 0 (`0,1,1` of 3), ours is 0.

    Raises DataError when `split` is not one to three shares.
    """
    shares = _shares(split)
    total = sum(shares)
    ends = [0]
    for share in shares:
        ends.append(ends[-1] + round(share / total * float(documents)))
    excess = ends[-1] - documents
    train, valid, test = (max(0, end - excess) for end in ends[1:])
    return 0, train, valid, test


def split_range(split: str, part: Part, documents: int) -> range:
    """The documents of one part."""
    bounds = split_boundaries(split, documents)
    number = list(Part).index(part)
    return range(bounds[number], bounds[number + 1])


def _shares(split: str) -> list[float]:
    separator = "," if "," in split else "/"
    try:
        shares = [float(text) for text in split.split(separator)]
    except ValueError:
        shares = []
    finite = all(0 <= share < float("inf") for share in shares)
    if not 1 <= len(shares) <= 3 or not finite or sum(shares) <= 0:
        raise DataError(
            f"split: {split!r} is not one to three shares, none negative and not all 0; "
            'write for example split: "969, 30, 1"'
        )
    return shares + [0.0] * (3 - len(shares))
