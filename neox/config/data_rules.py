"""What must hold between the arguments that name data."""

from collections.abc import Callable

from neox.config.arguments.data import Paths, Weights
from neox.config.data_sets import sets_of_parts
from neox.config.derive import Findings
from neox.config.run_config import RunConfig


def _split(config: RunConfig, findings: Findings) -> None:
    """The split as the data room cuts it: up to three shares, of any sum above 0."""
    parts = [part.strip() for part in config.data.split.replace("/", ",").split(",")]
    try:
        shares = [float(part) for part in parts if part]
    except ValueError:
        shares = []
    good = 1 <= len(shares) <= 3 and all(share >= 0 for share in shares)
    if not good or not 0 < sum(shares) < float("inf"):
        message = f'{config.data.split!r} must be up to three shares above 0, e.g. "969, 30, 1"'
        findings.add("split", message)


def _paths(config: RunConfig, findings: Findings) -> None:
    parts, whole = sets_of_parts(config.data), config.data.data_path
    for kind, there in (
        ("", [part for part in parts if part.paths]),
        ("pos_", [part for part in parts if part.chosen]),
    ):
        for part in parts:
            own = f"{kind}{part.name}_data_paths"
            paths = part.chosen if kind else part.paths
            if paths is not None and not paths:
                findings.add(own, "is empty; name a set, or leave it out")
            if paths and whole is not None:
                findings.add(own, "contradicts data_path; delete one of the two")
            if there and not paths and whole is None:
                first = f"{kind}{there[0].name}_data_paths"
                findings.add(own, f"not set, though {first} is; give all three or none")
    for part in parts:
        if part.weights is not None:
            sets = part.chosen if part.paths is None else part.paths
            _weights(findings, f"{part.name}_data_weights", sets, part.weights)


def _weights(findings: Findings, name: str, paths: Paths | None, weights: Weights) -> None:
    if paths is None or len(paths) != len(weights):
        message = f"{len(weights)} weights for {len(paths or ())} paths; give one for each"
        findings.add(name, message)
    elif any(weight < 0 for weight in weights) or sum(weights) <= 0:
        findings.add(name, "weights must be at least 0, and one of them above")


def _beside(config: RunConfig, findings: Findings) -> None:
    """Labels, rewards and rejected answers stand beside their sets, one file each."""
    for part in sets_of_parts(config.data):
        name, chosen = f"{part.name}_data_paths", f"pos_{part.name}_data_paths"
        rejected = f"neg_{part.name}_data_paths"
        for own, files, beside, sets in (
            (f"{part.name}_label_data_paths", part.labels, name, part.paths),
            (f"{part.name}_reward_data_paths", part.rewards, name, part.paths),
            (rejected, part.rejected, chosen, part.chosen),
            (f"pos_{part.name}_label_data_paths", part.chosen_labels, chosen, part.chosen),
            (f"neg_{part.name}_label_data_paths", part.rejected_labels, rejected, part.rejected),
        ):
            if files is not None and len(files) != len(sets or ()):
                message = f"{len(files)} paths for {len(sets or ())} {beside}; give one for each"
                findings.add(own, message)
        if part.chosen and part.rejected is None:
            findings.add(chosen, f"a pair needs the other answer, too; add {rejected}")


def _kind(config: RunConfig, findings: Findings) -> None:
    """Pairs, samples from a server, and token files exclude each other."""
    data = config.data
    for part in sets_of_parts(data):
        own = f"pos_{part.name}_data_paths"
        if part.chosen and data.dataset_impl != "pairwise":
            findings.add(own, "are pairs of answers; add dataset_impl: pairwise")
        if part.chosen and part.paths:
            findings.add(own, f"contradicts {part.name}_data_paths; delete one of the two")
    if data.dataset_impl == "pairwise" and data.pos_train_data_paths is None:
        message = "pairwise needs pairs to train on; add pos_train_data_paths and its fellows"
        findings.add("dataset_impl", message)
    if data.dataset_impl == "online" and data.data_path is not None:
        findings.add("dataset_impl", "online contradicts data_path; delete one of the two")
    learned = config.training.train_impl
    if data.dataset_impl == "pairwise" and learned not in ("dpo", "rm"):
        message = f"pairwise is not what train_impl: {learned} learns from; dpo and rm do"
        findings.add("dataset_impl", message)
    if data.train_reward_data_paths and learned != "kto":
        message = f"train_impl: {learned} reads no rewards from files; kto does"
        findings.add("train_reward_data_paths", message)
    whole = data.pack_impl == "unpacked"
    for name, given in (
        ("pos_train_data_paths", data.pos_train_data_paths),
        ("train_reward_data_paths", data.train_reward_data_paths),
    ):
        if given and not whole:
            findings.add(name, "needs a document a sample; add pack_impl: unpacked")


def _order(config: RunConfig, findings: Findings) -> None:
    data = config.data
    if data.order == "per-epoch" and data.pack_impl != "packed":
        message = f"per-epoch is for pack_impl: packed, not {data.pack_impl}; delete one of the two"
        findings.add("order", message)
    if data.weight_by_size and data.weight_by_num_documents:
        findings.add("weight_by_size", "contradicts weight_by_num_documents; delete one of the two")


Check = Callable[[RunConfig, Findings], None]
DATA_RULES: tuple[Check, ...] = (_split, _paths, _beside, _kind, _order)
