"""The model a config describes, and what is said not to be built yet."""

import pytest

from neox.config.arguments.model import Model
from neox.config.layers import feed_forward_width, layer_kinds, padded_vocabulary
from neox.config.places import ConfigErrors
from neox.config.spec import model_spec, not_yet

from .conftest import Resolver


@pytest.mark.parametrize(
    ("words", "width"),
    [
        ({}, 16_384),
        ({"expansion_factor": 2.5}, 10_240),
        ({"intermediate_size": 100, "mlp_multiple_of": 64}, 128),
        # LLaMA 7B and 70B, Mistral's working form: published inner widths
        ({"intermediate_size": 32_768, "mlp_multiple_of": 256, "activation": "swiglu"}, 11_008),
        ({"intermediate_size": 14_336, "mlp_multiple_of": 14_336, "activation": "swiglu"}, 14_336),
        ({"intermediate_size": 86_016, "activation": "swiglu"}, 28_672),
    ],
)
def test_feed_forward_widths(words: dict[str, object], width: int) -> None:
    assert feed_forward_width(Model(hidden_size=4096, **words)) == width  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        (None, ("global",) * 4),
        (((("local", "flash"), "all"),), ("local", "flash", "local", "flash")),
        (((("local", "flash"), 2),), ("local", "flash", "local", "flash")),
        # GPT-NeoX returned at the first "all" and dropped the rest
        (((("local",), 2), (("flash",), "all")), ("local", "local", "flash", "flash")),
        (("local", "global", "flash", "local"), ("local", "global", "flash", "local")),
    ],
)
def test_layer_patterns(pattern: object, kinds: tuple[str, ...]) -> None:
    assert layer_kinds(pattern, 4) == kinds  # type: ignore[arg-type]


def test_padded_vocabularies() -> None:
    # GPT-2's and the 20B tokenizer's, as GPT-NeoX and Hugging Face publish them
    assert padded_vocabulary(50_257, 128, 1) == 50_304
    assert padded_vocabulary(50_277, 128, 2) == 50_432
    assert padded_vocabulary(50_257, 128, 4) == 50_688


def test_the_spec_follows_the_config(resolved: Resolver) -> None:
    spec = model_spec(resolved())
    assert (spec.num_layers, spec.hidden_size, spec.ffn_size) == (4, 64, 256)
    assert (spec.rotary_dims, spec.head_dim, spec.vocab_size) == (4, 16, 1024)
    assert spec.max_positions == 32
    assert spec.tied_head
    assert not spec.shared_norm
    assert spec.activation == "gelu_exact"
    words = ("no_weight_tying=true", "gpt_j_residual=true", "gpt_j_tied=true")
    other = model_spec(resolved(*words, "bias_gelu_fusion=true", "pos_emb=none"))
    assert (other.tied_head, other.parallel_residual, other.shared_norm) == (False, True, True)
    assert (other.activation, other.rotary_dims) == ("gelu_tanh", 0)


def test_the_vocabulary_may_come_from_the_tokenizer(resolved: Resolver) -> None:
    config = resolved("vocab_size=null")
    assert model_spec(config, vocab_size=1000).vocab_size == 1024
    with pytest.raises(ConfigErrors, match="vocab_size: not set"):
        model_spec(config)


def test_what_is_built_asks_for_nothing(resolved: Resolver) -> None:
    assert not_yet(resolved()) == ()
    words = ("zero_optimization.stage=1", "fp16={enabled: true}", "checkpoint_activations=true")
    assert not_yet(resolved(*words, 'attention_config=[[["flash"], 4]]')) == ()
    assert not_yet(resolved("curriculum_learning={enabled: false}", "use_wandb=false")) == ()
    for style in ("cosine", "linear", "constant", "exponential"):
        assert not_yet(resolved(f"lr_decay_style={style}")) == ()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["pipe_parallel_size=4"], "pipe_parallel_size: 4: pipeline stages are not built yet"),
        (
            ["model_parallel_size=2"],
            "model_parallel_size: 2: tensor parallelism is not built yet",
        ),
        (["norm=rmsnorm"], "norm: rmsnorm: only layernorm is built"),
        (["pos_emb=alibi"], "pos_emb: alibi: only rotary positions and none are built"),
        (["activation=swiglu"], "activation: swiglu: only gelu is built"),
        (["num_kv_heads=2"], "num_kv_heads: 2: shared key and value heads are not built yet"),
        (
            ['attention_config=[[["local", "flash"], 2]]'],
            "attention_config: local: only global and flash layers are built",
        ),
        (
            ["zero_optimization={stage: 2}"],
            "zero_optimization.stage: 2: ZeRO 2 and 3 are not built yet",
        ),
        (["optimizer={type: lion}"], "optimizer.type: Lion: only Adam, AdamW and SGD are built"),
        (["train_impl=dpo"], "train_impl: dpo: only language modelling is built"),
        (["use_wandb=true"], "use_wandb: true: Weights & Biases is not connected yet"),
        (
            ["curriculum_learning={enabled: true}"],
            "curriculum_learning: given: curricula of sequence length are not built yet",
        ),
        (["data_types={grad_accum_dtype: bf16}"], "data_types.grad_accum_dtype: bf16: "),
    ],
)
def test_what_is_not_built_is_said(words: list[str], line: str, resolved: Resolver) -> None:
    (found,) = not_yet(resolved(*words, ranks=None))
    assert found.startswith(line)
