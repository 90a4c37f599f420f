"""`neox config migrate`: old files line by line."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given as every
from hypothesis import settings
from hypothesis import strategies as st

from neox.config.cli import main
from neox.config.load import load, typed_text
from neox.config.migrate import migrated
from neox.config.places import ConfigErrors

from .shipped import ALL, CONFIGS

OLD = """\
# My first run.
{
  "num-layers": 12, "hidden-size": 768, "short-seq-prob": 0.1, "num-attention-heads": 12,
  "seq-length": 2048, # tokens
  "scaled-upper-triang-masked-softmax-fusion": true, # fused
  "optimizer": {
    "type": "Adam",
    "params": {"lr": 6.0e-4, "betas": [0.9, 0.95], "momentun": 0.9}
  },
  "lr": 1.0e-5,
  "zero_optimization": {
    "stage": 1,
    "overlap_com": true,
  },
  # keep these two
  "gas": 32,   # sixteen nodes
  "save-interval": 500,  # often
  "activation_checkpointing": {
    "number_checkpoints": 4,   # how many
    "profile": false
  },
  "clip_grad": 0.5,
  "precision": "bf16",
  "launcher": "slurm", "deepspeed_slurm": true
}
"""
NEW = """\
# My first run.
{
  "num-layers": 12, "hidden-size": 768, "num-attention-heads": 12,
  "seq-length": 2048, # tokens
  # the engine chooses its kernels; the result is the same:
  # "scaled-upper-triang-masked-softmax-fusion": true, # fused
  "optimizer": {
    "type": "Adam",
    "params": {"lr": 6.0e-4, "betas": [0.9, 0.95]}
  },
  # GPT-NeoX overwrote it; what counts is optimizer.params.lr:
  # "lr": 1.0e-5,
  "zero_optimization": {
    "stage": 1,
    # GPT-NeoX ignored it, as any unknown key in a dict; did you mean overlap_comm?
    # "overlap_com": true,
  },
  # keep these two
  "gradient_accumulation_steps": 32,   # sixteen nodes
  "checkpoint-factor": 500,  # often
  # the engine recomputes with torch's own checkpointing:
  # "activation_checkpointing": {
  #   "number_checkpoints": 4,   # how many
  #   "profile": false
  # },
  # GPT-NeoX overwrote it; what counts is gradient_clipping:
  # "clip_grad": 0.5,
  "precision": "bfloat16",
}
"""


def changes(text: str) -> dict[str, str]:
    return {change.name: change.message for change in migrated(text, "old.yml").changes}


def test_an_old_file_is_rewritten_line_by_line() -> None:
    found = migrated(OLD, "old.yml")
    assert found.text == NEW
    assert [change.line for change in found.changes] == [
        3,
        5,
        8,
        10,
        13,
        16,
        17,
        18,
        22,
        23,
        24,
        24,
    ]
    assert str(found.changes[5]) == "16: gas: renamed: it is gradient_accumulation_steps now"
    precision = next(change for change in found.changes if change.name == "precision")
    assert "GPT-NeoX took this spelling for fp32, without a word" in precision.message


def test_what_comes_out_loads_without_a_warning_and_has_nothing_left_to_change() -> None:
    given = typed_text(NEW, "new.yml")
    assert given.warnings == ()
    assert migrated(NEW, "new.yml").changes == ()
    assert migrated(NEW, "new.yml").text == NEW


def test_the_values_that_counted_still_count() -> None:
    old, new = (
        typed_text(OLD.replace("momentun", "momentum").replace("overlap_com", "overlap_comm"), "a"),
        typed_text(NEW, "b"),
    )
    same = ("num_layers", "hidden_size", "seq_length", "gradient_accumulation_steps", "precision")
    assert [old.values[name] for name in same] == [new.values[name] for name in same]


@pytest.mark.parametrize("name", ALL)
def test_no_shipped_config_has_anything_to_change(name: str) -> None:
    text = (CONFIGS / name).read_text()
    assert migrated(text, name).changes == ()
    assert migrated(text, name).text == text


def test_block_style_and_its_comments() -> None:
    old = "gas: 2 # two\nfp16:\n  fp16: true # odd\n  enabled: true\ndata-impl: mmap\nseed: 3\n"
    assert migrated(old, "old.yml").text == (
        "gradient_accumulation_steps: 2 # two\n"
        "fp16:\n"
        "  # GPT-NeoX read it nowhere:\n"
        "  # fp16: true # odd\n"
        "  enabled: true\n"
        "# token files are always memory-mapped:\n"
        "# data-impl: mmap\n"
        "seed: 3\n"
    )


def test_a_dict_of_which_nothing_is_left_goes_whole() -> None:
    old = "fp16:\n  fp16: true\n  type: half\nseed: 3\n"
    new = migrated(old, "old.yml").text
    assert new == (
        "# no key in it had an effect:\n# fp16:\n#   fp16: true\n#   type: half\nseed: 3\n"
    )


@pytest.mark.parametrize(
    "old",
    [
        {"gas": 2, "short_seq_prob": 0.1, "launcher": "slurm"},
        {"launcher": "slurm", "gas": 2, "fp16": {"enabled": True, "fp16": True}},
        {"short_seq_prob": 0.1, "seed": 3, "wandb_group": "a, } ,b"},
    ],
)
@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_stays_json(old: dict[str, object], indent: int | str | None) -> None:
    new = json.loads(migrated(json.dumps(old, indent=indent), "old.json").text)
    dead = {"short_seq_prob", "launcher", "gas"}
    expected = {name: value for name, value in old.items() if name not in dead}
    if "gas" in old:
        expected["gradient_accumulation_steps"] = 2
    if "fp16" in old:
        expected["fp16"] = {"enabled": True}
    assert new == expected


def test_the_end_of_a_dict_stays_behind_a_comment() -> None:
    old = "{seed: 3,\n  fp16: {type: half},\n  short-seq-prob: 0.1 }\n"
    assert typed_text(migrated(old, "old.yml").text, "x").values == {"seed": 3}


def test_bfloat16s_first_spelling() -> None:
    old = '{"fp16": {"enabled": true, "type": "bfloat16", "loss_scale": 0}, "seed": 3}'
    assert json.loads(migrated(old, "old.yml").text) == {"precision": "bfloat16", "seed": 3}
    block = "fp16:\n  enabled: true\n  type: bfloat16\n"
    assert typed_text(migrated(block, "old.yml").text, "x").values == {"precision": "bfloat16"}
    both = 'precision: bfloat16\nfp16: {"enabled": true, "type": "bfloat16"}\n'
    assert typed_text(migrated(both, "old.yml").text, "x").values == {"precision": "bfloat16"}


def test_the_first_llama_configs() -> None:
    old = '{\n  "hidden-size": 4096,\n  "mlp-type": "llama",\n  "activation": "silu"\n}\n'
    new = typed_text(migrated(old, "old.yml").text, "new.yml").values
    assert new["activation"] == "swiglu"
    assert new["intermediate_size"] == 3 * 11_008
    given = old.replace("{\n", '{\n  "intermediate_size": 14336,\n')
    wide = typed_text(migrated(given, "old.yml").text, "new.yml").values
    assert wide["intermediate_size"] == 3 * 14_336
    odd = "hidden_size: many\nintermediate_size: [1]\nmlp_type: llama\n"
    assert "activation: swiglu" in migrated(odd, "old.yml").text
    block = "hidden_size: 5120\nmlp_type: llama\n"
    values = typed_text(migrated(block, "old.yml").text, "new.yml").values
    assert values == {"hidden_size": 5120, "activation": "swiglu", "intermediate_size": 3 * 13_824}


def test_llemmas_misspellings() -> None:
    for line in ("attention_type: groupedquery", "decay_lr_to: 0.033", "warmup_iters: 500"):
        (message,) = changes(f"{line}\n").values()
        assert message.startswith("taken out: a misspelling that GPT-NeoX refused")


def test_the_command_writes_explains_and_keeps_the_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.yml", tmp_path / "new.yml"
    old.write_text(OLD)
    assert main(["migrate", str(old)]) == 0
    out, err = capsys.readouterr()
    assert out == NEW
    assert f"{old}:16: gas: renamed: it is gradient_accumulation_steps now" in err
    assert err.splitlines()[-1] == f"{old}: 12 changes"
    assert main(["migrate", str(tmp_path / "old"), "-o", str(new)]) == 0
    assert new.read_text() == NEW
    assert old.read_text() == OLD
    assert main(["migrate", str(old), "--in-place"]) == 0
    assert (old.read_text(), (tmp_path / "old.yml.old").read_text()) == (NEW, OLD)
    assert main(["migrate", str(old), "--in-place"]) == 0  # nothing left: the kept one stays
    assert (tmp_path / "old.yml.old").read_text() == OLD


def test_what_only_a_person_can_mend_is_left_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.yml"
    old.write_text("gas: 2\nnum_layer: 12\ntrain_iters: ten\n")
    assert main(["migrate", str(old)]) == 2
    out, err = capsys.readouterr()
    assert "num_layer: 12" in out
    assert "unknown argument num_layer; did you mean num_layers?" in err
    assert err.splitlines()[-1] == f"{old}: 1 change; 2 left for you"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.yml", "b.yml"], "give --in-place to rewrite several"),
        (["a.yml", "seed=3"], "put seed=3 on the command line of the run"),
        (["a.yml", "-o", "b.yml", "--in-place"], "not both"),
        (["nowhere.yml"], "no such file"),
    ],
)
def test_misuse_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", *words]) == 2
    assert message in capsys.readouterr().err


def test_damage_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="is not YAML"):
        migrated("{a: [", "bad.yml")
    assert main(["migrate", str(tmp_path)]) == 2


def test_a_folder_of_configs_and_suffixes_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "-d", str(CONFIGS), "125M", "local_setup"]) == 0
    assert main(["check", "-d", str(CONFIGS), "125M.yml", "slurm_local.json", "seed=3"]) == 0
    assert main(["check", "-d", str(tmp_path), "nothing"]) == 2
    assert f"{tmp_path}/nothing: no such file" in capsys.readouterr().err
    assert load([CONFIGS / "125M"]).values["num_layers"] == 12


LIVE = {
    "num-layers": "12",
    "hidden_size": "768",
    '"seq-length"': "2048",
    "warmup": "0.01",
    "wandb-group": '"a, } # b"',
    "optimizer": '{"type": "Adam", "params": {"lr": 0.001, "betas": [0.9, 0.95]}}',
    "attention-config": '[[["global"], 12]]',
    "split": "'1,1,1'",
}
DEAD = {
    "short-seq-prob": "0.1",
    '"launcher"': "slurm",
    "clip_grad": "1.0",
    "activation_checkpointing": '{"profile": false, "number_checkpoints": 3}',
    "deepspeed_mpi": "true",
    "fp16": '{"type": "half", "fp16": true}',
}
RENAMED_KEYS = {"gas": "4", "save-interval": "500"}
EVERY = LIVE | DEAD | RENAMED_KEYS
MEANT = {"gas": "gradient_accumulation_steps", "save-interval": "checkpoint_factor"}


@settings(max_examples=150, deadline=None)
@every(
    keys=st.lists(st.sampled_from(sorted(EVERY)), min_size=1, unique=True),
    breaks=st.lists(
        st.sampled_from([" ", "\n  ", "\n\n  ", "  # {}\n  ", "\n  # {}\n  "]),
        min_size=17,
        max_size=17,
    ),
    last_comma=st.booleans(),
    tight=st.booleans(),
)
def test_whatever_stands_on_one_line(
    keys: list[str], breaks: list[str], last_comma: bool, tight: bool
) -> None:
    """Random old files: what counted stays, with its value, and every comment stays."""
    gaps = [gap.format(f"comment {n}") for n, gap in enumerate(breaks)]
    commas = [","] * (len(keys) - 1) + ["," if last_comma else ""]
    body = "".join(
        f"{key}: {EVERY[key]}{comma}{gap}"
        for key, comma, gap in zip(keys, commas, gaps[1:], strict=False)
    )
    old = (
        "{" + ("" if tight else gaps[0]) + body + ("\n}" if "#" in gaps[len(keys)] else "}") + "\n"
    )
    new = migrated(old, "old.yml").text
    there = {**LIVE, **RENAMED_KEYS}
    meant = "".join(f"{MEANT.get(key, key)}: {there[key]}\n" for key in keys if key in there)
    if not meant:
        assert not any(line.strip(" {},") for line in new.split("\n") if "#" not in line)
        return
    given = typed_text(new, "new.yml")
    assert given.values == typed_text(meant, "meant.yml").values
    assert given.warnings == ()
    for comment in re.findall(r"comment \d+", old):
        assert comment in new
    assert migrated(new, "new.yml").text == new
