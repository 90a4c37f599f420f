"""The rest of DeepSpeed's config."""

from collections.abc import Mapping
from typing import Literal

from neox.config.arguments.argument import Switched, argument
from neox.frozen import Frozen, frozen

_TUNING = "autotuning is not built yet"
_CURRICULUM = "curricula of sequence length are not built yet"


@frozen
class CurriculumSchedule(Frozen):
    """How a curriculum proceeds."""

    total_curriculum_step: int = argument(10_000, "Steps until full length.", unit="steps")
    difficulty_step: int = argument(8, "Lengths are multiples of this.", unit="tokens")
    root_degree: int = argument(2, "Root by which the length grows.")
    difficulty: tuple[int, ...] = argument((), "Lengths of the discrete kind.", unit="tokens")
    max_step: tuple[int, ...] = argument((), "Where each of them ends.", unit="steps")


@frozen
class Curriculum(Switched):
    """Sequences that grow longer as training goes on."""

    curriculum_type: Literal["seqlen"] = argument("seqlen", "What grows.")
    min_difficulty: int = argument(8, "Length at the start.", unit="tokens")
    max_difficulty: int = argument(1024, "Length at the end.", unit="tokens")
    schedule_type: Literal["fixed_linear", "fixed_root", "fixed_discrete"] = argument(
        "fixed_linear", "How it grows."
    )
    schedule_config: CurriculumSchedule = argument(CurriculumSchedule(), "Its numbers.")


@frozen
class Autotuning(Switched):
    """DeepSpeed's search for a fast config."""

    fast: bool = argument(True, "Tune ZeRO and micro-batch alone.")
    results_dir: str | None = argument(None, "Directory of results.")
    exps_dir: str | None = argument(None, "Directory of trials.")
    overwrite: bool = argument(True, "Overwrite older results.")
    metric: Literal["latency", "throughput", "flops"] = argument("throughput", "What counts.")
    metric_path: str | None = argument(None, "File the metric is read from.")
    start_profile_step: int = argument(3, "First timed step.", unit="steps")
    end_profile_step: int = argument(5, "Last timed step.", unit="steps")
    tuner_type: Literal["gridsearch", "random", "model_based"] = argument(
        "gridsearch", "How to search."
    )
    tuner_early_stopping: int = argument(5, "Give up after this many without gain.")
    tuner_num_trials: int = argument(50, "Trials at most.")
    max_train_batch_size: int | None = argument(None, "Largest batch.", unit="sequences")
    min_train_batch_size: int = argument(1, "Smallest batch.", unit="sequences")
    max_train_micro_batch_size_per_gpu: int = argument(
        1024, "Largest micro-batch.", unit="sequences"
    )
    min_train_micro_batch_size_per_gpu: int = argument(1, "Smallest micro-batch.", unit="sequences")
    num_tuning_micro_batch_sizes: int = argument(3, "How many micro-batches to try.")
    mp_size: int = argument(1, "Tensor-parallel ranks.")
    arg_mappings: Mapping[str, object] | None = argument(None, "Names in the user's program.")
    model_info: Mapping[str, object] | None = argument(None, "What is known of the model.")
    model_info_path: str | None = argument(None, "File of the same.")


@frozen
class Elasticity(Switched):
    """DeepSpeed's elastic training."""

    max_train_batch_size: int = argument(2000, "Largest batch.", unit="sequences")
    micro_batch_sizes: tuple[int, ...] = argument((2, 4, 6), "Micro-batches allowed.")
    min_gpus: int = argument(1, "Fewest GPUs.")
    max_gpus: int = argument(10_000, "Most GPUs.")
    min_time: int = argument(0, "Least time between changes.", unit="minutes")
    prefer_larger_batch: bool = argument(True, "Of two choices, the larger batch.")
    ignore_non_elastic_batch_info: bool = argument(False, "Other batch numbers do not count.")
    version: float = argument(0.2, "Version of the scheme.")
    model_parallel_size: int = argument(1, "Tensor-parallel ranks.")
    num_gpus_per_node: int = argument(1, "GPUs of a node.")


@frozen
class DataEfficiency(Switched):
    """DeepSpeed's data-efficiency library."""

    seed: int = argument(1234, "Seed.")
    data_sampling: Mapping[str, object] | None = argument(None, "Curriculum by metrics.")
    data_routing: Mapping[str, object] | None = argument(None, "Layers that drop tokens.")


@frozen
class SparseAttention(Frozen):
    """DeepSpeed's own sparse attention section."""

    mode: Literal["dense", "fixed", "variable", "bigbird", "bslongformer", "local"] = argument(
        "fixed", "Layout."
    )
    block: int = argument(16, "Edge of a block.", unit="tokens")
    different_layout_per_head: bool = argument(False, "A layout for each head.")
    num_local_blocks: int = argument(4, "Blocks in a local window.")
    num_global_blocks: int = argument(1, "Blocks that everything attends to.")
    attention: Literal["unidirectional", "bidirectional"] = argument(
        "bidirectional", "Which way attention looks."
    )
    horizontal_global_attention: bool = argument(False, "Global blocks attend to all others, too.")
    num_different_global_patterns: int = argument(1, "Global patterns over the heads.")
    num_random_blocks: int = argument(0, "Randomly placed blocks per row.")
    num_sliding_window_blocks: int = argument(3, "Blocks in the sliding window.")


@frozen
class Compression(Frozen):
    """DeepSpeed's compression; each technique has shared_parameters and different_groups."""

    weight_quantization: Mapping[str, object] | None = argument(None, "Quantised weights.")
    activation_quantization: Mapping[str, object] | None = argument(None, "Quantised activations.")
    sparse_pruning: Mapping[str, object] | None = argument(None, "Single weights pruned.")
    row_pruning: Mapping[str, object] | None = argument(None, "Rows pruned.")
    head_pruning: Mapping[str, object] | None = argument(None, "Heads pruned.")
    channel_pruning: Mapping[str, object] | None = argument(None, "Channels pruned.")
    layer_reduction: Mapping[str, object] | None = argument(None, "Layers left out.")


@frozen
class DeepSpeed(Frozen):
    """Sections of DeepSpeed's that have no other place."""

    deepspeed: Literal[True] = argument(
        True,
        "GPT-NeoX ran under DeepSpeed alone.",
        status="chosen",
        note="`engine` says what takes the steps",
    )
    deepscale: bool = argument(False, "Older name of deepspeed.", status="unread")
    deepscale_config: str | None = argument(None, "Older name of its config.", status="unread")
    curriculum_learning: Curriculum | None = argument(
        None, "Sequences that grow longer.", not_yet=_CURRICULUM
    )
    curriculum_seqlen: int = argument(
        0, "Length just now.", unit="tokens", status="runtime", note="the curriculum decides"
    )
    autotuning: Autotuning | None = argument(None, "Search for a fast config.", not_yet=_TUNING)
    elasticity: Elasticity | None = argument(
        None,
        "Training that changes its size.",
        not_yet="elastic training is not built; a chained job may change its nodes",
    )
    data_efficiency: DataEfficiency | None = argument(
        None, "Data efficiency.", not_yet="data efficiency is not built"
    )
    sparse_attention: SparseAttention | None = argument(
        None, "DeepSpeed's sparse attention.", not_yet="block-sparse attention is not built yet"
    )
    compression_training: Compression | None = argument(
        None, "DeepSpeed's compression.", not_yet="compression is not built"
    )
    deepspeed_extra_args: Mapping[str, object] | None = argument(
        None,
        "Further keys for DeepSpeed.",
        not_yet="further keys are not passed to DeepSpeed",
        built=(None,),
    )
