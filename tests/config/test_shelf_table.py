"""Every sized config of GPT-NeoX is on the shelf, with its values or with a mend that it tells."""

from pathlib import Path

import pytest

from neox.config.derive import resolve
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
