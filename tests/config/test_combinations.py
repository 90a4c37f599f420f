"""Which shipped files go together: GPT-NeoX's combinations, and what is said where they do not."""

import shutil
from pathlib import Path

import pytest

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig

from .shipped import CONFIGS

RANKS = {"20B": 384, "175B": 384, "llama/65B": 8, "llama2/70B": 8}

TOGETHER = [
    "125M local_setup",
    "125M local_setup_wandb",
    "125M local_setup_comet",
    "125M text_generation",
    "1-3B local_setup text_generation",
    "175B local_setup",
    "gmlp_small local_setup",
    "mamba/mamba-130M local_setup",
    "rwkv/170M local_setup",
    "llama/7B llama/train_config local_setup",
    "llama/7B llama/train_config local_setup text_generation",
    "llama/65B llama/train_config local_setup",
    "llama2/70B llama/train_config local_setup",
    "mistral/7B llama/train_config local_setup",
    "125M sparse local_setup",
    "125M prof",
    "slurm_125M slurm_local.yml",
    "slurm_125M slurm_local.json",
    "125M-json slurm_local.json",
    "pythia/70M docker/pythia-paths",
    "125M eleutherai_cluster",
    "20B text_generation",
    "125M cpu_mock_config",
    # those failed there for a mistake: a path or a folder that stood in both files
    "125M prof local_setup",
    "20B local_setup",
    "pythia/14M local_setup",
    "pythia/31M local_setup",
    "finetuning_configs/6-9B local_setup",
    # and those for a misspelt key, or a list that its own type check refused
    "llemma/7B",
    "llemma/34B",
    "post-training/llama3-8b-reinforce",
]
APART = [  # rightly refused, there and here
    *[
        (f"{name} local_setup", "train_data_paths: contradicts data_path; delete one of the two")
        for name in (
            "llemma/7B",
            "llemma/34B",
            "post-training/llama3-8b-sft",
            "post-training/llama3-8b-kto",
            "docker/pythia-paths",
            "eleutherai_cluster",
        )
    ],
    *[
        (f"post-training/{name} local_setup", "pos_train_data_paths: contradicts data_path")
        for name in ("llama3-8b-rm", "llama3-8b-dpo", "benchmarking/mistral-dpo")
    ],
    ("post-training/llama3-8b-reinforce local_setup", "dataset_impl: online contradicts data_path"),
    ("local_setup", "num_layers: not set; a model needs it"),
    ("sparse", "num_layers: not set; a model needs it"),
    ("text_generation", "num_layers: not set; a model needs it"),
    ("prof", "num_layers: not set; a model needs it"),
    ("slurm_local", "num_layers: not set; a model needs it"),
    ("llama/7B", "train_iters: not set"),
    ("mistral/7B", "train_iters: not set"),
    ("125M 350M", "num_layers is given twice with another value, first in 125M:4"),
]


def together(words: str, *behind: Path) -> RunConfig:
    names = words.split()
    return resolve(load([*(Path(name) for name in names), *behind]), RANKS.get(names[0], 8))


@pytest.mark.parametrize("words", TOGETHER)
def test_files_that_go_together(words: str) -> None:
    assert together(words).model.num_layers


@pytest.mark.parametrize(("words", "message"), APART, ids=[words for words, _ in APART])
def test_files_that_do_not(words: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        together(words)
    assert message in str(caught.value)


@pytest.mark.parametrize("first", ["local_setup", "text_generation", "prof"])
def test_the_order_of_files_that_agree_does_not_matter(first: str) -> None:
    assert together(f"{first} 125M") == together(f"125M {first}")


@pytest.mark.parametrize("wrong", ["attention_type", "decay_lr_to", "decay-lr-to"])
def test_llemmas_misspelt_keys_are_refused_by_name(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(f"{wrong}: 1\n")
    with pytest.raises(ConfigErrors) as caught:
        together("llemma/7B", tmp_path / "mine.yml")
    assert f"mine.yml:1: unknown argument {wrong.replace('-', '_')}" in str(caught.value)


OLD_LOCAL_SETUP = """\
{
  "data-path": "data/enwik8/enwik8_text_document",
  "vocab-file": "data/gpt2-vocab.json",
  "merge-file": "data/gpt2-merges.txt",
  "save": "checkpoints",
  "load": "checkpoints",
  "tensorboard-dir": "mine",
}
"""


def test_a_persons_own_setup_says_where_data_and_tokenizer_are(tmp_path: Path) -> None:
    """GPT-NeoX's sized configs named no data, so that everybody's local_setup did."""
    own = tmp_path / "local_setup.yml"
    own.write_text(OLD_LOCAL_SETUP)
    config = together("125M prof", own)
    assert config.data.data_path == "data/enwik8/enwik8_text_document"
    assert config.tokenizer.tokenizer_type == "GPT2BPETokenizer"
    assert config.tokenizer.vocab_file == "data/gpt2-vocab.json"
    assert config.tokenizer.vocab_size is None  # the shipped tokenizer's, so it is gone, too
    assert config.logging.tensorboard_dir == "mine"
    assert config.data.split == "969, 30, 1"


def test_a_persons_own_data_replace_all_the_sets_of_a_shipped_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.yml"
    own.write_text("data_path: mine\n")
    config = together("post-training/llama3-8b-sft", own)
    assert (config.data.data_path, config.data.train_data_paths) == ("mine", None)
    assert config.data.train_label_data_paths is None
    assert config.tokenizer.vocab_size == 128_256


def test_the_shelfs_own_setup_may_be_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout people write their paths into configs/local_setup.yml."""
    shelf = tmp_path / "configs"
    shutil.copytree(CONFIGS, shelf)
    monkeypatch.setattr("neox.config.load.shipped", lambda _: shelf)
    edited = shelf / "local_setup.yml"
    edited.write_text("data_path: mine\ntensorboard_dir: there\n")
    config = together("125M prof local_setup")
    assert (config.data.data_path, config.logging.tensorboard_dir) == ("mine", "there")
    assert config.tokenizer.vocab_size == 50_277
    with pytest.raises(ConfigErrors, match="data_path is given twice with another value"):
        together("local_setup 125M")  # never silently the example's
    with pytest.raises(ConfigErrors, match="train_data_paths: contradicts data_path"):
        together("llemma/7B local_setup")
    edited.write_text("data_path: mine\nvocab_file: mine.json\ntokenizer_type: HFTokenizer\n")
    config = together("llemma/7B local_setup")
    assert (config.data.data_path, config.tokenizer.vocab_file) == ("mine", "mine.json")
    assert config.data.train_data_paths is None


def test_two_files_of_ones_own_still_contradict_each_other(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    one.write_text("data_path: one\n")
    other.write_text("data_path: other\n")
    with pytest.raises(ConfigErrors, match="data_path is given twice with another value"):
        together("125M", one, other)
