"""Hugging Face's GPTNeoXForCausalLM and ours: the same tensors under other names.

Rows of query_key_value lie alike in both ([head, {q, k, v}, head_dim]), so no tensor is permuted.
"""

import math
import re

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.json_values import Fields
from neox.models.spec import Activation, ModelSpec

# Ours -> theirs, by prefix, inside a layer and outside.
OUTSIDE = {
    "embedding.": "gpt_neox.embed_in.",
    "final_norm.": "gpt_neox.final_layer_norm.",
    "head.": "embed_out.",
}
INSIDE = {"mlp.linear1.": "mlp.dense_h_to_4h.", "mlp.linear2.": "mlp.dense_4h_to_h."}
# transformers 5 names the head lm_head in memory; files of 4 and before say embed_out
OTHER_HEADS = {"lm_head.": "embed_out."}
# buffers that older files carry: masks and frequencies, which both sides compute
BUFFERS = re.compile(r".*\.(attention\.(bias|masked_bias)|(attention\.)?rotary_emb\.inv_freq)")

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu_exact",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def hf_name(name: str) -> str:
    """Their name of our parameter."""
    layer = re.fullmatch(r"(layers\.\d+\.)(.*)", name)
    if layer:
        return f"gpt_neox.{layer[1]}{_renamed(layer[2], INSIDE)}"
    return _renamed(name, OUTSIDE)


def our_name(name: str) -> str | None:
    """Our name of their tensor, None for a buffer that we compute ourselves.

    Raises CheckpointError for a tensor that the family does not have.
    """
    if BUFFERS.fullmatch(name):
        return None
    layer = re.fullmatch(r"gpt_neox\.(layers\.\d+\.)(.*)", name)
    if layer:
        return layer[1] + _renamed(layer[2], _reversed(INSIDE))
    ours = _renamed(_renamed(name, OTHER_HEADS), _reversed(OUTSIDE))
    if ours == name:
        raise CheckpointError(f"{name} is not a tensor of GPTNeoXForCausalLM; is it another model?")
    return ours


def _renamed(name: str, prefixes: dict[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _reversed(prefixes: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in prefixes.items()}


def hf_config(spec: ModelSpec, dtype: str, end_of_text: int | None) -> dict[str, object]:
    """config.json for transformers 4 and 5."""
    share = rotary_share(spec)
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.hidden_size,
        "num_hidden_layers": spec.num_layers,
        "num_attention_heads": spec.num_attention_heads,
        "intermediate_size": spec.ffn_size,
        "hidden_act": "gelu" if spec.activation == "gelu_exact" else "gelu_pytorch_tanh",
        "max_position_embeddings": spec.max_positions,
        "layer_norm_eps": spec.norm_epsilon,
        "use_parallel_residual": spec.parallel_residual,
        "attention_bias": spec.attention_bias,
        "attention_dropout": spec.attention_dropout,
        "hidden_dropout": spec.hidden_dropout,
        "initializer_range": spec.init_std,
        "tie_word_embeddings": spec.tied_head,
        "rotary_pct": share,
        "rotary_emb_base": spec.rotary_base,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": spec.rotary_base,
            "partial_rotary_factor": share,
        },
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "torch_dtype": dtype,
        "use_cache": True,
    }


def rotary_share(spec: ModelSpec) -> float:
    """The fraction f for which their int(head_dim x f) gives our rotary_dims."""
    share = spec.rotary_dims / spec.head_dim
    return share if int(spec.head_dim * share) == spec.rotary_dims else math.nextafter(share, 2)


def read_hf_config(fields: Fields) -> ModelSpec:
    """The model that a config.json describes; what it leaves out is as in transformers.

    Raises CheckpointError when it is another architecture or uses what ours does not have.
    """
    kind = fields.text("model_type")
    if kind != "gpt_neox":
        raise CheckpointError(f"{fields.where}: model_type is {kind}, not gpt_neox")
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    if heads < 1 or hidden % heads:
        raise CheckpointError(
            f"{fields.where}: hidden_size {hidden} is not whole per {heads} heads"
        )
    share, base = _rotary(fields)
    return ModelSpec(
        num_layers=fields.integer("num_hidden_layers"),
        hidden_size=hidden,
        num_attention_heads=heads,
        ffn_size=fields.integer("intermediate_size"),
        vocab_size=fields.integer("vocab_size"),
        max_positions=fields.integer("max_position_embeddings"),
        rotary_dims=int(hidden // heads * share),
        rotary_base=base,
        norm_epsilon=_number(fields, "layer_norm_eps", 1e-5),
        activation=_activation(fields),
        parallel_residual=_truth(fields, "use_parallel_residual", True),
        attention_bias=_truth(fields, "attention_bias", True),
        tied_head=_truth(fields, "tie_word_embeddings", False),
        attention_dropout=_number(fields, "attention_dropout", 0.0),
        hidden_dropout=_number(fields, "hidden_dropout", 0.0),
        init_std=_number(fields, "initializer_range", 0.02),
    )


def _activation(fields: Fields) -> Activation:
    name = fields.text("hidden_act")
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise CheckpointError(f"{fields.where}: hidden_act is {name}, not one of {known}")
    return ACTIVATIONS[name]


def _rotary(fields: Fields) -> tuple[float, float]:
    """Fraction of the head that rotates, and the base."""
    share, base = _number(fields, "rotary_pct", 0.25), _number(fields, "rotary_emb_base", 10_000.0)
    for table in ("rope_scaling", "rope_parameters"):
        if not fields.has(table) or fields.values[table] is None:
            continue
        rope = fields.fields(table)
        kind = next((rope.text(key) for key in ("rope_type", "type") if rope.has(key)), "default")
        if kind != "default":
            raise CheckpointError(
                f"{rope.where}: {kind} scaling of the rotary base is not there yet"
            )
        share = _number(rope, "partial_rotary_factor", share)
        base = _number(rope, "rope_theta", base)
    return share, base


def _number(fields: Fields, name: str, default: float) -> float:
    return fields.number(name) if fields.has(name) else default


def _truth(fields: Fields, name: str, default: bool) -> bool:
    return fields.truth(name) if fields.has(name) else default
