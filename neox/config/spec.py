"""The model that a config describes, and what it asks for that the engine does not have yet."""

import dataclasses
from collections.abc import Iterator

from neox.config.arguments.argument import Argument, Switched, argument_of
from neox.config.layers import feed_forward_width, layer_kinds, padded_vocabulary
from neox.config.places import ConfigErrors, problem_at
from neox.config.run_config import RunConfig
from neox.config.table import table, value_of
from neox.models.spec import ModelSpec

_EXACT = ("global", "flash")  # both are exact attention over all earlier tokens


def model_spec(config: RunConfig, vocab_size: int | None = None) -> ModelSpec:
    """The model as plain numbers.

    `vocab_size` is what the tokenizer knows, for a config that does not say; it is padded here.
    Raises ConfigErrors where neither says.
    """
    model = config.model
    assert model.num_layers is not None
    assert model.hidden_size is not None
    assert model.num_attention_heads is not None
    assert model.max_position_embeddings is not None
    head = model.hidden_size // model.num_attention_heads
    return ModelSpec(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        num_attention_heads=model.num_attention_heads,
        ffn_size=feed_forward_width(model),
        vocab_size=_vocabulary(config, vocab_size),
        max_positions=model.max_position_embeddings,
        rotary_dims=int(head * model.rotary_pct) if model.pos_emb == "rotary" else 0,
        rotary_base=float(model.rotary_emb_base),
        norm_epsilon=model.layernorm_epsilon,
        # GPT-NeoX's fused kernel computes the tanh form, its plain one the exact function
        activation="gelu_tanh" if model.bias_gelu_fusion else "gelu_exact",
        parallel_residual=model.gpt_j_residual,
        shared_norm=model.gpt_j_tied,
        attention_bias=model.use_bias_in_attn_linear,
        mlp_bias=model.use_bias_in_mlp,
        tied_head=not model.no_weight_tying,
        attention_dropout=model.attention_dropout,
        hidden_dropout=model.hidden_dropout,
        init_method=model.init_method,
        output_init_method=model.output_layer_init_method,
        init_std=model.init_method_std,
    )


def not_yet(config: RunConfig) -> tuple[str, ...]:
    """One line for each argument that asks for something the engine does not have yet."""
    lines = [
        line
        for entry in table().values()
        for line in _lacking(entry.name, value_of(config, entry), entry.about)
    ]
    return (*lines, *_layers(config))


def require_built(config: RunConfig, where: str = "") -> None:
    """Raises ConfigErrors with every such line, `where` before each."""
    lines = not_yet(config)
    if lines:
        raise ConfigErrors([problem_at(None, f"{where}{line}") for line in lines])


def _vocabulary(config: RunConfig, vocab_size: int | None) -> int:
    if config.tokenizer.padded_vocab_size is not None:
        return config.tokenizer.padded_vocab_size
    if vocab_size is None:
        message = (
            "vocab_size: not set, and the tokenizer has not been read; "
            "say how many tokens it knows, e.g. vocab_size: 50277"
        )
        raise ConfigErrors([problem_at(None, message)])
    multiple = config.tokenizer.make_vocab_size_divisible_by
    return padded_vocabulary(vocab_size, multiple, max(1, config.parallel.model_parallel_size))


def _lacking(name: str, value: object, about: Argument) -> Iterator[str]:
    nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if isinstance(value, Switched) and not value.enabled:
        return  # switched off, it asks for nothing
    if about.not_yet is not None and about.status != "derived" and value not in about.built:
        yield f"{name}: {'given' if nested else _shown(value)}: {about.not_yet}"
    elif nested and dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner: object = getattr(value, field.name)
            yield from _lacking(f"{name}.{field.name}", inner, argument_of(field))


def _layers(config: RunConfig) -> Iterator[str]:
    model = config.model
    assert model.num_layers is not None
    kinds = dict.fromkeys(layer_kinds(model.attention_config, model.num_layers))
    for kind in kinds:
        if kind not in _EXACT:
            built = " and ".join(_EXACT)
            yield f"attention_config: {kind}: only {built} layers are built, and counted"
    if model.num_kv_heads != model.num_attention_heads:
        yield (
            f"num_kv_heads: {model.num_kv_heads}: shared key and value heads are not built yet, "
            "and estimates count as many as query heads"
        )


def _shown(value: object) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
