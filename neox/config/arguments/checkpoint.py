"""What is saved, when, and what a run starts from."""

from collections.abc import Mapping
from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_ALWAYS = "checkpoints hold everything that a run needs to go on"
_S3 = "copies to S3 are not built yet"


@frozen
class ParallelWrite(Frozen):
    """Who writes a DeepSpeed checkpoint."""

    pipeline_stage: bool = argument(False, "All stages write at once.")


@frozen
class DeepSpeedCheckpoint(Frozen):
    """DeepSpeed's own checkpoint section."""

    tag_validation: Literal["Ignore", "Warn", "Fail"] = argument(
        "Warn", "Ranks compare their tags."
    )
    load_universal: bool = argument(False, "Read DeepSpeed's universal format.")
    use_node_local_storage: bool = argument(False, "Each node has its own disk.")
    parallel_write: ParallelWrite = argument(ParallelWrite(), "Who writes at once.")


@frozen
class Checkpoint(Frozen):
    """Saving and loading."""

    save: str | None = argument(None, "Directory of checkpoints. Default: the run's own.")
    load: str | None = argument(
        None, "Directory to start from. A run that finds its own checkpoint goes on from there."
    )
    finetune: bool = argument(False, "Take weights alone from `load`, and start at step 0.")
    iteration: int | None = argument(
        None, "Step of the checkpoint to load. Default: the latest.", unit="steps"
    )
    checkpoint_scale: Literal["linear", "log"] = argument(
        "linear", "Save every checkpoint_factor steps, or at its powers."
    )
    checkpoint_factor: int | float | None = argument(
        None, "Steps between saves; with log the factor between them.", unit="steps"
    )
    extra_save_iters: tuple[int, ...] | None = argument(
        None, "Further steps to save at.", unit="steps"
    )
    keep_last_n_checkpoints: int | None = argument(
        None, "Delete all but this many. Default: keep all.", unit="checkpoints"
    )
    no_save_optim: bool = argument(False, "Do not save the optimizer.", status="unread")
    no_save_rng: bool = argument(False, "Do not save random states.", status="chosen", note=_ALWAYS)
    no_load_optim: bool = argument(
        False, "Start with a fresh optimizer.", not_yet="only finetune: true starts it afresh"
    )
    no_load_rng: bool = argument(
        False,
        "Do not restore random states.",
        not_yet="only finetune: true starts them afresh",
    )
    checkpoint_validation_with_forward_pass: bool = argument(
        False,
        "Save some logits and compare them after loading.",
        not_yet="checkpoints are checked by hash instead",
    )
    s3_path: str | None = argument(None, "Where checkpoints are copied to.", not_yet=_S3)
    s3_chunk_size: int = argument(
        104_857_600, "Size of an upload's parts.", unit="bytes", not_yet=_S3
    )
    checkpoint: DeepSpeedCheckpoint | None = argument(
        None,
        "DeepSpeed's checkpoint options.",
        status="chosen",
        note="checkpoints have a format of their own",
    )
    config_files: Mapping[str, str] | None = argument(
        None,
        "Texts of the config files.",
        status="runtime",
        note="each checkpoint keeps the texts it was made from",
    )
