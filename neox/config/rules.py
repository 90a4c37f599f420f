"""What must hold between arguments. All broken rules are found at once."""

from collections.abc import Callable

from neox.config.data_rules import DATA_RULES
from neox.config.derive import Findings, config_value
from neox.config.derive_ranks import stages
from neox.config.kernel_rules import KERNEL_RULES
from neox.config.layers import (
    PatternError,
    divisors,
    feed_forward_width,
    gated_widths_disagree,
    kinds_named,
    layer_kinds,
)
from neox.config.ranges import check_ranges
from neox.config.run_config import RunConfig
from neox.config.table import table

Check = Callable[[RunConfig, Findings], None]


def check(config: RunConfig, findings: Findings) -> None:
    """Put every rule that `config` breaks on record."""
    _required(config, findings)
    outside = check_ranges(config, findings)
    for rule in _RULES:
        rule(config, findings)
    if _sizes_are_sound(config, outside):
        for rule in _RULES_OF_SIZES:
            rule(config, findings)


def _sizes_are_sound(config: RunConfig, outside: set[str]) -> bool:
    """Can one divide by the model's sizes? Where not, that is on record already."""
    return not any(name in outside or config_value(config, name) is None for name in _SIZES)


_SIZES = (
    "num_layers",
    "hidden_size",
    "num_attention_heads",
    "num_kv_heads",
    "intermediate_size",
    "mlp_multiple_of",
    "seq_length",
    "max_position_embeddings",
    "model_parallel_size",
    "rotary_pct",
)


def _required(config: RunConfig, findings: Findings) -> None:
    model, training = config.model, config.training
    for name, value in (
        ("num_layers", model.num_layers),
        ("hidden_size", model.hidden_size),
        ("num_attention_heads", model.num_attention_heads),
        ("seq_length", model.seq_length),
    ):
        if value is None:
            findings.add(name, f"not set; a model needs it, e.g. {name}: {_EXAMPLES[name]}")
    if training.train_iters is None and training.train_epochs is None:
        findings.add("train_iters", "not set; say how many steps to train, e.g. train_iters: 1000")
    if training.train_iters is not None and training.train_epochs is not None:
        findings.add("train_epochs", "contradicts train_iters; delete one of the two")
    for section, key in (("zero_optimization", "stage"), ("optimizer", "type")):
        if findings.is_given(section) and not findings.is_given(f"{section}.{key}"):
            findings.add(section, f"does not say its {key}; add {key}: {_EXAMPLES[key]}")


_EXAMPLES = {
    "num_layers": "12",
    "hidden_size": "768",
    "num_attention_heads": "12",
    "seq_length": "2048",
    "stage": "1",
    "type": "Adam",
}


def _heads(config: RunConfig, findings: Findings) -> None:
    """Heads divide the width, and ranks the heads; Mamba layers alone have no heads."""
    if kinds_named(config.model.attention_config) == {"mamba"}:
        return
    model, tensor = config.model, config.parallel.model_parallel_size
    hidden, heads, shared = model.hidden_size, model.num_attention_heads, model.num_kv_heads
    assert hidden is not None
    assert heads is not None
    assert shared is not None
    if hidden % heads:
        fits = _nearest_divisor(hidden, heads)
        message = f"{hidden} does not divide into {heads} heads; num_attention_heads: {fits} would"
        findings.add("hidden_size", message)
    if heads % shared:
        fits = _nearest_divisor(heads, shared)
        message = f"{shared} does not divide num_attention_heads: {heads}; {fits} would"
        findings.add("num_kv_heads", message)
    for name, count in (("num_attention_heads", heads), ("num_kv_heads", shared)):
        if count % tensor and (name == "num_attention_heads" or shared != heads):
            fits = _nearest_divisor(count, tensor)
            message = f"{tensor} does not divide {name}: {count}; {fits} would"
            findings.add("model_parallel_size", message)


def _shapes(config: RunConfig, findings: Findings) -> None:
    model, tensor = config.model, config.parallel.model_parallel_size
    layers, positions, length = model.num_layers, model.max_position_embeddings, model.seq_length
    assert layers is not None
    assert positions is not None
    assert length is not None
    if findings.is_given("intermediate_size") and findings.is_given("expansion_factor"):
        findings.add("expansion_factor", "contradicts intermediate_size; delete one of the two")
    width = feed_forward_width(model)
    if width % tensor:
        fits = _nearest_divisor(width, tensor)
        message = f"{tensor} does not divide the feed-forward width {width}; {fits} would"
        findings.add("model_parallel_size", message)
    if gated_widths_disagree(model):
        inner = model.intermediate_size
        assert inner is not None
        message = (
            f"{inner} does not divide among the three matrices of a gated block; write three times "
            f"the width that is meant: {3 * inner} for {inner}, {3 * width} for {width}"
        )
        findings.add("intermediate_size", message)
    if positions < length:
        message = f"{positions} is below seq_length: {length}; it must be at least that"
        findings.add("max_position_embeddings", message)
    if stages(config) > layers:
        message = f"{stages(config)} stages are more than num_layers: {layers}"
        findings.add("pipe_parallel_size", message)
    if model.gpt_j_tied and not model.gpt_j_residual:
        findings.add("gpt_j_tied", "true needs gpt_j_residual: true")
    try:
        layer_kinds(model.attention_config, layers)
    except PatternError as error:
        message = f'{error}; e.g. [[["global"], {layers}]] or [[["global"], "all"]]'
        findings.add("attention_config", message)


def _rotary(config: RunConfig, findings: Findings) -> None:
    model = config.model
    assert model.hidden_size is not None
    assert model.num_attention_heads is not None
    head = model.hidden_size // model.num_attention_heads
    dims = int(head * model.rotary_pct)
    if model.pos_emb == "rotary" and (dims % 2 or dims == 0):
        fits = dims + 1 if dims % 2 and dims < head else max(dims // 2 * 2, 2)
        findings.add(
            "rotary_pct",
            f"{model.rotary_pct:g} of {head} dims per head is {dims}, which must be even and "
            f"above 0; {fits / head:g} would do",
        )


def _learning_rate(config: RunConfig, findings: Findings) -> None:
    lowest, peak = config.schedule.min_lr, config.optimizer.optimizer.params.lr
    if lowest > peak:
        findings.add("min_lr", f"{lowest:g} is above the peak, optimizer.params.lr: {peak:g}")


def _profile(config: RunConfig, findings: Findings) -> None:
    first, last = config.logging.profile_step_start, config.logging.profile_step_stop
    if (config.logging.profile or config.logging.memory_profiling) and last < first:
        findings.add("profile_step_stop", f"{last} is before profile_step_start: {first}")


def _saving(config: RunConfig, findings: Findings) -> None:
    parts = config.checkpoint
    if parts.save is not None and parts.checkpoint_factor is None and not parts.extra_save_iters:
        message = "says where but not when; add checkpoint_factor: 1000, or extra_save_iters"
        findings.add("save", message)
    factor = parts.checkpoint_factor
    if factor is not None and parts.checkpoint_scale == "linear" and factor != int(factor):
        findings.add("checkpoint_factor", f"{factor:g} must be whole, or checkpoint_scale: log")
    if factor is not None and parts.checkpoint_scale == "log" and factor <= 1:
        findings.add("checkpoint_factor", f"{factor:g} must be above 1 with checkpoint_scale: log")
    if any(step < 0 for step in parts.extra_save_iters or ()):
        findings.add("extra_save_iters", "steps must be at least 0")
    if parts.finetune and parts.load is None:
        findings.add("finetune", "true needs the checkpoint to start from; add load: DIRECTORY")


def _zero(config: RunConfig, findings: Findings) -> None:
    stage = config.zero.zero_optimization.stage
    if stage >= 2 and stages(config) > 1:
        message = f"{stage} does not go with pipe_parallel_size: {stages(config)}; use 1"
        findings.add("zero_optimization.stage", message)
    if stage >= 2 and config.moe.moe_num_experts > 1:
        message = f"{stage} does not go with moe_num_experts; use 1"
        findings.add("zero_optimization.stage", message)
    if config.moe.moe_num_experts > 1 and stages(config) > 1:
        findings.add("moe_num_experts", "does not go with pipeline stages")
    several = (
        config.parallel.data_parallel_size is not None and config.parallel.data_parallel_size > 1
    )
    if config.precision.precision == "bfloat16" and several and stage == 0:
        message = "0 does not go with bfloat16 on several ranks; use stage: 1"
        findings.add("zero_optimization.stage", message)
    world = config.parallel.world_size
    if config.parallel.engine == "native" and world is not None and world > 1:
        message = f"native is for one rank, and the job has {world}; use engine: auto"
        findings.add("engine", message)


def _loss(config: RunConfig, findings: Findings) -> None:
    if config.precision.fp16_lm_cross_entropy and config.precision.precision != "fp16":
        findings.add("fp16_lm_cross_entropy", "true needs precision: fp16")


def _extra_args(config: RunConfig, findings: Findings) -> None:
    for key in config.deepspeed.deepspeed_extra_args or {}:
        if key in table():
            findings.add("deepspeed_extra_args", f"{key} is an argument itself; give it as one")


_RULES_OF_SIZES: tuple[Check, ...] = (_heads, _shapes, _rotary)
_RULES: tuple[Check, ...] = (
    _learning_rate,
    _saving,
    _profile,
    _zero,
    _loss,
    *DATA_RULES,
    *KERNEL_RULES,
    _extra_args,
)


def _nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of `number` that is nearest to `wanted`."""
    return min(divisors(number), key=lambda n: abs(n - wanted))
