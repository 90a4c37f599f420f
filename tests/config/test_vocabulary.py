"""The number of tokens, from the tokenizer's own file."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.vocabulary import with_vocabulary

CONFIG = """
num_layers: 2
hidden_size: 32
num_attention_heads: 4
seq_length: 16
train_iters: 1
train_micro_batch_size_per_gpu: 1
make_vocab_size_divisible_by: 16
"""


def write_config(folder: Path, more: str) -> Path:
    path = folder / "c.yml"
    path.write_text(CONFIG + more)
    return path


def tokenizer_file(folder: Path) -> Path:
    """17 words, one of which is also an added token, and two tokens that are only added."""
    words = {f"w{number}": number for number in range(17)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.add_special_tokens(["w1"])
    tokenizer.add_tokens([AddedToken("x"), AddedToken("y")])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    assert tokenizer.get_vocab_size() == 19
    return path


def test_it_is_what_the_tokenizer_itself_says(tmp_path: Path) -> None:
    file = tokenizer_file(tmp_path)
    config = write_config(tmp_path, f"tokenizer_type: HFTokenizer\nvocab_file: {file}\n")
    given = with_vocabulary(load([config]))
    assert given.values["vocab_size"] == 19
    assert str(given.places["vocab_size"]) == str(file)
    assert resolve(given, 1).tokenizer.padded_vocab_size == 32


def test_gpt2s_vocabulary_is_a_plain_table(tmp_path: Path) -> None:
    file = tmp_path / "vocab.json"
    file.write_text(json.dumps({"a": 0, "b": 1, "c": 2}))
    config = write_config(tmp_path, f"tokenizer_type: GPT2BPETokenizer\nvocab_file: {file}\n")
    assert with_vocabulary(load([config])).values["vocab_size"] == 3


def test_what_the_config_says_holds(tmp_path: Path) -> None:
    more = f"tokenizer_type: HFTokenizer\nvocab_file: {tokenizer_file(tmp_path)}\nvocab_size: 40\n"
    given = load([write_config(tmp_path, more)])
    assert with_vocabulary(given) is given


@pytest.mark.parametrize("content", ["", "[1]", '{"model": {}}', "\x00\x01", None])
def test_a_file_that_cannot_be_read_leaves_it_unknown(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content)
    config = write_config(tmp_path, f"tokenizer_type: HFTokenizer\nvocab_file: {file}\n")
    given = load([config])
    assert with_vocabulary(given) is given
