"""The token files and how samples are cut from them. A path is a prefix of .bin and .idx."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

Paths = tuple[str, ...]
Weights = tuple[float, ...]

_ONLINE = "online data is not built yet"


@frozen
class Data(Frozen):
    """Sets, weights and packing."""

    data_path: str | None = argument(None, "One set, divided by split.")
    split: str = argument("969, 30, 1", "Shares of training, validation and test in data_path.")
    train_data_paths: Paths | None = argument(None, "Sets to train on, blended.")
    valid_data_paths: Paths | None = argument(None, "Sets to validate on, blended.")
    test_data_paths: Paths | None = argument(None, "Sets to test on, blended.")
    train_data_weights: Weights | None = argument(None, "Their shares. Default: equal.")
    valid_data_weights: Weights | None = argument(None, "Their shares. Default: equal.")
    test_data_weights: Weights | None = argument(None, "Their shares. Default: equal.")
    train_label_data_paths: Paths | None = argument(None, "Labels beside train_data_paths.")
    valid_label_data_paths: Paths | None = argument(None, "Labels beside valid_data_paths.")
    test_label_data_paths: Paths | None = argument(None, "Labels beside test_data_paths.")
    train_reward_data_paths: Paths | None = argument(None, "Rewards beside train_data_paths.")
    valid_reward_data_paths: Paths | None = argument(None, "Rewards beside valid_data_paths.")
    test_reward_data_paths: Paths | None = argument(None, "Rewards beside test_data_paths.")
    pos_train_data_paths: Paths | None = argument(None, "Preferred answers to train on.")
    neg_train_data_paths: Paths | None = argument(None, "Rejected answers to train on.")
    pos_train_label_data_paths: Paths | None = argument(None, "Their labels.")
    neg_train_label_data_paths: Paths | None = argument(None, "Their labels.")
    pos_valid_data_paths: Paths | None = argument(None, "Preferred answers to validate on.")
    neg_valid_data_paths: Paths | None = argument(None, "Rejected answers to validate on.")
    pos_valid_label_data_paths: Paths | None = argument(None, "Their labels.")
    neg_valid_label_data_paths: Paths | None = argument(None, "Their labels.")
    pos_test_data_paths: Paths | None = argument(None, "Preferred answers to test on.")
    neg_test_data_paths: Paths | None = argument(None, "Rejected answers to test on.")
    pos_test_label_data_paths: Paths | None = argument(None, "Their labels.")
    neg_test_label_data_paths: Paths | None = argument(None, "Their labels.")
    weight_by_num_documents: bool = argument(
        False,
        "Weigh sets by their number of documents.",
    )
    weighted_sampler_alpha: float = argument(
        1.0,
        "Exponent of those weights, p^alpha x (1 - p).",
    )
    weight_by_size: bool = argument(
        False, "Weigh sets by p^weighted_sampler_alpha, p their share of all documents."
    )
    data_impl: Literal["infer", "mmap", "cached"] = argument(
        "infer",
        "How token files are read.",
        status="chosen",
        note="token files are always memory-mapped",
    )
    mmap_warmup: bool = argument(
        False,
        "Read a file through once when it is opened.",
        status="chosen",
        note="token files are read as they are needed",
    )
    pack_impl: Literal["packed", "pack_until_overflow", "unpacked"] = argument(
        "packed", "How documents become samples of equal length."
    )
    allow_chopped: bool = argument(True, "Keep documents that are longer than a sample, cut.")
    order: Literal["gpt-neox", "per-epoch"] = argument(
        "gpt-neox",
        "How documents are shuffled: those of all epochs together, or each epoch by itself, so "
        "that a run may be lengthened.",
    )
    dataset_impl: Literal["gpt2", "pairwise", "online"] = argument(
        "gpt2",
        "Kind of data: tokens, pairs of answers, or samples from a server.",
        not_yet="samples from a server are not built yet",
        built=("gpt2", "pairwise"),
    )
    eod_mask_loss: bool = argument(
        False, "Leave what follows an end-of-document token out of the loss."
    )
    reset_attention_mask: bool = argument(
        False,
        "Keep attention within a document, where a sample holds several; attention then takes "
        "about twice as long.",
    )
    reset_position_ids: bool = argument(False, "Count positions anew in each document.")
    num_workers: int = argument(
        2,
        "Processes that load data.",
        status="chosen",
        note="one thread of each rank loads ahead",
    )
    use_shared_fs: bool = argument(
        True,
        "Do all nodes see one file system?",
        status="chosen",
        note="index maps are made wherever they are missing",
    )
    online_dataserver_ips: str | tuple[str, ...] = argument(
        "localhost", "Hosts that serve samples.", not_yet=_ONLINE
    )
    online_dataserver_ports: int | tuple[int, ...] = argument(
        10_000, "Their ports.", not_yet=_ONLINE
    )
