"""What follows within precision, schedule, model, vocabulary and data."""

from neox.config.derive import Findings, derived, follows
from neox.config.layers import inner_width, kinds_named, padded_vocabulary
from neox.config.run_config import RunConfig


def precision(config: RunConfig, findings: Findings) -> RunConfig:
    """One format: from `precision`, or from the dict that is switched on, else fp32."""
    parts = config.precision
    on = [
        name
        for name, enabled in (("fp16", parts.fp16.enabled), ("bfloat16", parts.bf16.enabled))
        if enabled
    ]
    if len(on) > 1:
        findings.add("bf16.enabled", "bf16 and fp16 are both on; switch one off")
        return config
    if parts.precision is None:
        rule = f"{on[0].replace('loat', '')}.enabled" if on else "neither fp16 nor bf16 is on"
        config = derived(config, rule, {"precision": on[0] if on else "fp32"})
    elif on and on[0] != parts.precision:
        dict_name = "fp16" if on[0] == "fp16" else "bf16"
        findings.add("precision", f"{parts.precision} contradicts {dict_name}.enabled: true")
        return config
    config = _switch(config, findings, "fp16", "fp16")
    config = _switch(config, findings, "bf16", "bfloat16")
    if config.precision.precision == "fp16":
        dynamic = config.precision.fp16.loss_scale == 0
        config = follows(config, findings, "fp16.loss_scale is 0", "dynamic_loss_scale", dynamic)
    return config


def _switch(config: RunConfig, findings: Findings, name: str, value: str) -> RunConfig:
    """Say in the dict `name`, too, whether `precision` is `value`."""
    chosen = config.precision.precision == value
    section = config.precision.fp16 if name == "fp16" else config.precision.bf16
    if section.enabled == chosen:
        return config
    if findings.is_given(f"{name}.enabled"):
        findings.add("precision", f"{value} contradicts {name}.enabled: false")
    return derived(config, f"precision is {value}", {f"{name}.enabled": chosen})


def schedule(config: RunConfig, findings: Findings) -> RunConfig:
    """The step at which the learning rate has fallen."""
    steps, fraction = config.training.train_iters, config.schedule.lr_decay_fraction
    given = config.schedule.lr_decay_iters
    if steps is None:
        return config
    if fraction is None:
        if given is None:
            config = derived(config, "train_iters", {"lr_decay_iters": steps})
        return config
    value = int(fraction * steps)
    if given is not None and given != value:
        findings.add(
            "lr_decay_iters",
            f"{given} contradicts lr_decay_fraction x train_iters = {value}; delete one of the two",
        )
    return derived(config, "lr_decay_fraction x train_iters", {"lr_decay_iters": value})


def model(config: RunConfig, findings: Findings) -> RunConfig:
    """Key and value heads, positions and the feed-forward width."""
    parts = config.model
    if parts.num_kv_heads is None and parts.num_attention_heads is not None:
        heads = {"num_kv_heads": parts.num_attention_heads}
        config = derived(config, "num_attention_heads", heads)
    if parts.max_position_embeddings is None and parts.seq_length is not None:
        config = derived(config, "seq_length", {"max_position_embeddings": parts.seq_length})
    if parts.intermediate_size is None and parts.hidden_size is not None:
        unset = parts.expansion_factor is None
        rule = "4 x hidden_size" if unset else "expansion_factor x hidden_size"
        config = derived(config, rule, {"intermediate_size": inner_width(parts)})
    if config.generation.text_gen_type is None:
        from_file = config.generation.sample_input_file is not None
        kind = "input-file" if from_file else "unconditional"
        rule = "sample_input_file is given" if from_file else "no sample_input_file"
        config = derived(config, rule, {"text_gen_type": kind})
    return _rwkv(config, findings)


def _rwkv(config: RunConfig, findings: Findings) -> RunConfig:
    """Widths of RWKV layers, where there are any."""
    parts = config.model
    if parts.hidden_size is None or not parts.num_attention_heads:
        return config
    if "rwkv" not in kinds_named(parts.attention_config):
        return config
    width = config.recurrent.dim_att
    if width is None:
        width = parts.hidden_size
        config = derived(config, "hidden_size", {"dim_att": width})
    heads = parts.num_attention_heads
    config = follows(config, findings, "dim_att / num_attention_heads", "head_size", width // heads)
    if config.recurrent.ffn_dim is None:
        rule = "3.5 x dim_att, rounded down to a multiple of 32"
        config = derived(config, rule, {"ffn_dim": int(width * 3.5) // 32 * 32})
    return config


def tokens(config: RunConfig) -> RunConfig:
    """Rows of the embedding, where the vocabulary is known without the tokenizer."""
    size, multiple = config.tokenizer.vocab_size, config.tokenizer.make_vocab_size_divisible_by
    ranks = config.parallel.model_parallel_size
    if size is None or size < 1 or multiple < 1 or ranks < 1:
        return config
    rule = "vocab_size, up to a multiple of make_vocab_size_divisible_by x model_parallel_size"
    rows = padded_vocabulary(size, multiple, ranks)
    return derived(config, rule, {"padded_vocab_size": rows})


def data(config: RunConfig) -> RunConfig:
    """Equal weights where sets are blended without any."""
    parts = config.data
    for name, paths, weights in (
        ("train_data_weights", parts.train_data_paths, parts.train_data_weights),
        ("valid_data_weights", parts.valid_data_paths, parts.valid_data_weights),
        ("test_data_weights", parts.test_data_paths, parts.test_data_weights),
    ):
        if paths is not None and weights is None:
            config = derived(config, "equal shares", {name: (1.0,) * len(paths)})
    return config
