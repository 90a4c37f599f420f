"""Arguments that must lie between two numbers."""

from dataclasses import dataclass

from neox.config.derive import Findings, config_value
from neox.config.run_config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Range:
    low: float = 0.0
    high: float = float("inf")
    low_too: bool = True  # does `low` itself fit?
    high_too: bool = True

    def holds(self, value: float) -> bool:
        above = value >= self.low if self.low_too else value > self.low
        below = value <= self.high if self.high_too else value < self.high
        return above and below

    def __str__(self) -> str:
        low = f"at least {self.low:g}" if self.low_too else f"above {self.low:g}"
        if self.high == float("inf"):
            return low
        return f"{low} and {'at most' if self.high_too else 'below'} {self.high:g}"


_COUNT = Range(low=1, high=1e12)
_NOT_NEGATIVE = Range()
_POSITIVE = Range(low_too=False)
_SHARE = Range(high=1)
_BELOW_ONE = Range(high=1, high_too=False)

RANGES = (
    (Range(low=1, high=100_000), "num_layers"),
    (
        _COUNT,
        "hidden_size num_attention_heads num_kv_heads intermediate_size mlp_multiple_of "
        "seq_length max_position_embeddings rotary_emb_base sliding_window_width rpe_num_buckets "
        "rpe_max_distance model_parallel_size train_batch_size train_micro_batch_size_per_gpu "
        "gradient_accumulation_steps train_iters train_epochs eval_interval exit_interval "
        "lr_decay_iters make_vocab_size_divisible_by vocab_size keep_last_n_checkpoints "
        "log_interval profile_step_start checkpoint_num_layers maximum_tokens num_samples num_gpus "
        "moe_num_experts moe_expert_interval moe_top_k zero_optimization.reduce_bucket_size "
        "zero_optimization.allgather_bucket_size fp16.loss_scale_window fp16.hysteresis",
    ),
    (
        _NOT_NEGATIVE,
        "pipe_parallel_size eval_iters seed min_lr weight_decay gradient_clipping num_workers "
        "temperature top_k iteration fp16.loss_scale fp16.initial_scale_power init_method_std "
        "data_parallel_size",
    ),
    (
        _POSITIVE,
        "expansion_factor layernorm_epsilon rms_norm_epsilon scalenorm_epsilon optimizer.params.lr "
        "optimizer.params.eps checkpoint_factor lr_decay_fraction fp16.min_loss_scale "
        "gradient_predivide_factor peak_theoretical_tflops",
    ),
    (_SHARE, "rotary_pct warmup top_p"),
    (_BELOW_ONE, "attention_dropout hidden_dropout"),
)


def check_ranges(config: RunConfig, findings: Findings) -> set[str]:
    """Put every number outside its range on record, and return their names."""
    outside: set[str] = set()
    for bounds, names in RANGES:
        for name in names.split():
            value = config_value(config, name)
            if isinstance(value, int | float) and not bounds.holds(value):
                findings.add(name, f"{value:g} must be {bounds}")
                outside.add(name)
    for number, beta in enumerate(config.optimizer.optimizer.params.betas):
        if not _BELOW_ONE.holds(beta):
            message = f"{beta:g} (number {number + 1}) must be {_BELOW_ONE}"
            findings.add("optimizer.params.betas", message)
    return outside
