"""Every sized config of GPT-NeoX is on the shelf, with its values or with a mend that it tells."""

from pathlib import Path

import pytest

from neox.config.derive import config_value, resolve
from neox.config.layers import feed_forward_width, layer_kinds
from neox.config.load import load
from neox.config.run_config import RunConfig

from .shipped import CONFIGS

LINES = Path(__file__).with_name("gpt_neox_configs.txt").read_text().splitlines()
COLUMNS = LINES[2].removeprefix("# file ").split()
THERE = {line.split()[0]: dict(zip(COLUMNS, line.split()[1:], strict=True)) for line in LINES[3:]}

MAMBA = ("130M", "370M", "790M", "1.4B", "2.8B")
# where ours differs, and on purpose: a comment in the file says why
MENDED: dict[str, dict[str, str]] = {
    "175B.yml": {"pipe": "8", "tensor": "8", "micro": "1"},
    "llama2/70B.yml": {"tensor": "8"},
    "llama2/codellama_7B.yml": {"ffn": "11008"},
    "llama2/codellama_34B.yml": {"ffn": "22016", "tensor": "8"},
    "llemma/7B.yml": {"ffn": "11008"},
    "llemma/34B.yml": {"ffn": "22016"},
    "mistral/7B.yml": {"ffn": "14336"},
    "bf16_125M.yml": {"zero": "1"},
    "rwkv/170M.yml": {"positions": "none"},
    **{f"mamba/mamba-{size}.yml": {"positions": "none"} for size in MAMBA},
}


def ours(config: RunConfig, there: dict[str, str]) -> dict[str, str]:
    """The same columns of our config; `-` where GPT-NeoX's file says nothing."""
    model, said = config.model, config.origins
    assert model.num_layers is not None
    (kind,) = set(layer_kinds(model.attention_config, model.num_layers))
    rotary = f"rotary:{model.rotary_pct:g}"
    found = {
        "layers": model.num_layers,
        "hidden": model.hidden_size,
        "heads": model.num_attention_heads,
        "kv": model.num_kv_heads,
        "seq": model.seq_length,
        "ffn": "-" if kind in ("mamba", "rwkv") else feed_forward_width(model),
        "pipe": config.parallel.pipe_parallel_size,
        "tensor": config.parallel.model_parallel_size,
        "micro": config.batch.train_micro_batch_size_per_gpu,
        "lr": f"{config.optimizer.optimizer.params.lr:g}",
        "min_lr": f"{config.schedule.min_lr:g}",
        "iters": config.training.train_iters,
        "precision": config.precision.precision,
        "zero": config.zero.zero_optimization.stage if "zero_optimization" in said else "-",
        "attention": kind,
        "norm": model.norm,
        "positions": rotary if model.pos_emb == "rotary" else model.pos_emb,
        "residual": "parallel" if model.gpt_j_residual else "sequential",
    }
    return {name: "-" if there[name] == "-" else str(value) for name, value in found.items()}


@pytest.mark.parametrize("name", THERE)
def test_the_values_are_gpt_neoxs_or_mended(name: str) -> None:
    file = CONFIGS / name
    behind = [] if THERE[name]["iters"] != "-" else [CONFIGS / "llama/train_config.yml"]
    found = ours(resolve(load([file, *behind]), None), THERE[name])
    expected = {**THERE[name], **MENDED.get(name, {})}
    for column in ("lr", "min_lr"):
        if expected[column] != "-":
            expected[column] = f"{float(expected[column]):g}"
    assert found == expected


@pytest.mark.parametrize("name", MENDED)
def test_a_mend_is_told_in_the_file(name: str) -> None:
    comments = [line.partition("#")[2] for line in (CONFIGS / name).read_text().splitlines()]
    assert any("GPT-NeoX" in comment for comment in comments)


def test_a_mend_is_one() -> None:
    for name, mends in MENDED.items():
        assert all(THERE[name][column] != value for column, value in mends.items()), name


def test_no_feed_forward_bias_is_left_on_in_a_llama() -> None:
    shapes = [name for name in THERE if name.startswith(("llama", "llemma", "mistral"))]
    for name in shapes:
        assert load([CONFIGS / name]).values["use_bias_in_mlp"] is False, name


# what the table above has no column for
FURTHER = {
    "760M.yml": {"optimizer.params.betas": (0.9, 0.999)},
    "bf16_125M.yml": {"optimizer.params.betas": (0.9, 0.999), "weight_decay": 0.0},
    "bnb_125M.yml": {"split": "949, 50, 1", "init_method": "normal", "use_bnb_optimizer": True},
    "slurm_125M.yml": {"bias_gelu_fusion": True, "output_layer_init_method": "scaled_normal"},
    "gmlp_small.yml": {"gmlp_attn_dim": 64, "weight_decay": 0.1, "optimizer.params.eps": 1e-8},
    "19M.yml": {"fp16.initial_scale_power": 12, "eval_interval": 100_000},
    "800M.yml": {"fp16.initial_scale_power": 12, "eval_interval": 40_000},
    "rwkv/170M.yml": {
        "lr_decay_style": "constant",
        "max_position_embeddings": 2048,
        "dim_att": 768,
    },
    "mamba/mamba-2.8B.yml": {"rms_norm_epsilon": 1e-5, "activation": "silu"},
    "llama/7B.yml": {"rms_norm_epsilon": 1e-6, "init_method": "small_init", "finetune": True},
    "llama2/codellama_7B.yml": {"rotary_emb_base": 1_000_000},
    "llemma/7B.yml": {"min_lr": 3.3e-6, "zero_optimization.reduce_bucket_size": 1_260_000_000},
    "llemma/34B.yml": {"rotary_emb_base": 1_000_000, "checkpoint_factor": 250, "eval_iters": 25},
    "mistral/7B.yml": {"sliding_window_width": 4096, "max_position_embeddings": 131_072},
    "1-3B-transformer-engine.yml": {"te_mha": True, "te_fp8_wgrad": False},
    "125M-dmoe.yml": {"moe_num_experts": 8, "moe_router_type": "sinkhorn"},
    "finetuning_configs/6-9B.yml": {"finetune": True, "eval_interval": 143_000},
    "post-training/llama3-8b-dpo.yml": {"dpo_beta": 0.01, "allow_chopped": False},
    "post-training/llama3-8b-kto.yml": {"kto_beta": 0.1, "pack_impl": "unpacked"},
    "post-training/llama3-8b-rm.yml": {"train_impl": "rm", "dataset_impl": "pairwise"},
    "post-training/llama3-8b-reinforce.yml": {
        "kl_impl": "abs",
        "reinforce_leave_one_out": True,
        "online_dataserver_ports": (10_000, 10_001),
    },
    "post-training/llama3-8b-sft.yml": {
        "rotary_emb_base": 500_000,
        "data_types.grad_accum_dtype": "fp32",
    },
    "post-training/benchmarking/llama-13b-dpo.yml": {"make_vocab_size_divisible_by": 64},
    "post-training/benchmarking/mistral-dpo.yml": {"checkpoint_activations": False},
}


@pytest.mark.parametrize("name", FURTHER)
def test_further_values(name: str) -> None:
    behind = [] if THERE[name]["iters"] != "-" else [CONFIGS / "llama/train_config.yml"]
    config = resolve(load([CONFIGS / name, *behind]), None)
    found = {argument: config_value(config, argument) for argument in FURTHER[name]}
    assert found == FURTHER[name]
