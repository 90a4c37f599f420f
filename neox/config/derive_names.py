"""Two names of one thing: either may be given, and both have the value afterwards."""

from neox.config.derive import Findings, config_value, derived, moved
from neox.config.run_config import RunConfig

_PAIRS = (  # the other name, and the one that counts
    ("batch_size", "train_micro_batch_size_per_gpu"),
    ("clip_grad", "gradient_clipping"),
    ("optimizer_type", "optimizer.type"),
    ("lr", "optimizer.params.lr"),
    ("optimizer.params.weight_decay", "weight_decay"),
    ("zero_stage", "zero_optimization.stage"),
    ("zero_reduce_scatter", "zero_optimization.reduce_scatter"),
    ("zero_contiguous_gradients", "zero_optimization.contiguous_gradients"),
    ("zero_reduce_bucket_size", "zero_optimization.reduce_bucket_size"),
    ("zero_allgather_bucket_size", "zero_optimization.allgather_bucket_size"),
    ("loss_scale", "fp16.loss_scale"),
)


def names(config: RunConfig, findings: Findings) -> RunConfig:
    """Carry a value given under its other name over to the one that counts."""
    for other, name in _PAIRS:
        if not findings.is_given(other) or config_value(config, other) is None:
            continue
        value, counted = config_value(config, other), config_value(config, name)
        if findings.is_given(name) and value != counted:
            findings.add(other, f"{value} contradicts {name}: {counted}; delete one of the two")
        elif not findings.is_given(name):
            config = moved(config, name, value, config.origins[other])
            findings.stands_for(other, name)
    return config


def other_names(config: RunConfig) -> RunConfig:
    """Show the value under its other name, too. Comes last, when all values are known."""
    for other, name in _PAIRS:
        value = config_value(config, name)
        if other == "loss_scale" and value == 0:
            value = None  # 0 stands for a dynamic scale
        if value is not None:
            config = derived(config, name, {other: value})
    return config
