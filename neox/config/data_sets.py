"""The many names of data, as three parts with the same fields."""

from dataclasses import dataclass
from typing import Literal

from neox.config.arguments.data import Data, Paths, Weights


@dataclass(frozen=True, kw_only=True)
class PartSets:
    """The sets of training, validation or test, and the files beside them, one for each."""

    name: Literal["train", "valid", "test"]
    paths: Paths | None
    weights: Weights | None
    labels: Paths | None
    rewards: Paths | None
    chosen: Paths | None
    rejected: Paths | None
    chosen_labels: Paths | None
    rejected_labels: Paths | None


def sets_of_parts(data: Data) -> tuple[PartSets, PartSets, PartSets]:
    return (
        PartSets(
            name="train",
            paths=data.train_data_paths,
            weights=data.train_data_weights,
            labels=data.train_label_data_paths,
            rewards=data.train_reward_data_paths,
            chosen=data.pos_train_data_paths,
            rejected=data.neg_train_data_paths,
            chosen_labels=data.pos_train_label_data_paths,
            rejected_labels=data.neg_train_label_data_paths,
        ),
        PartSets(
            name="valid",
            paths=data.valid_data_paths,
            weights=data.valid_data_weights,
            labels=data.valid_label_data_paths,
            rewards=data.valid_reward_data_paths,
            chosen=data.pos_valid_data_paths,
            rejected=data.neg_valid_data_paths,
            chosen_labels=data.pos_valid_label_data_paths,
            rejected_labels=data.neg_valid_label_data_paths,
        ),
        PartSets(
            name="test",
            paths=data.test_data_paths,
            weights=data.test_data_weights,
            labels=data.test_label_data_paths,
            rewards=data.test_reward_data_paths,
            chosen=data.pos_test_data_paths,
            rejected=data.neg_test_data_paths,
            chosen_labels=data.pos_test_label_data_paths,
            rejected_labels=data.neg_test_label_data_paths,
        ),
    )
