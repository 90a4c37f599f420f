"""`neox generate` from a run directory: texts, records, and one line for what goes wrong."""

import json
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.manifest import About
from neox.checkpoint.store import CheckpointWriter
from neox.checkpoint.weights import spec_to_json
from neox.inference.cli import main
from neox.models.init import draw
from neox.models.shapes import parameter_shapes
from tests.models.variants import PLAIN

RUN_YML = """
num_layers: 3
hidden_size: 32
num_attention_heads: 4
seq_length: 24
max_position_embeddings: 24
pos_emb: rotary
train_micro_batch_size_per_gpu: 1
optimizer: {{type: Adam, params: {{lr: 0.001}}}}
train_iters: 10
tokenizer_type: HFTokenizer
vocab_file: {tokenizer}
"""
WORDS = ["<|endoftext|>", *(chr(code) for code in range(ord("A"), ord("z") + 1)), "Ġ"]


def write_tokenizer(path: Path) -> None:
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with a checkpoint of random weights."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_tokenizer(tmp_path / "tokenizer.json")
    run_yml = folder / "run.yml"
    run_yml.write_text(RUN_YML.format(tokenizer=tmp_path / "tokenizer.json"))
    about = About(model=spec_to_json(PLAIN), configs={}, geometry={}, versions={})
    writer = CheckpointWriter(
        folder / "checkpoints", rank=0, world_size=1, attempt="a", about=about
    )
    fragments = [
        Fragment(
            name=name, kind="weight", shape=shape, box=whole(shape), start=0,
            data=10 * draw(name, shape, PLAIN, 1).reshape(-1),
        )
        for name, shape in parameter_shapes(PLAIN).items()
    ]  # fmt: skip
    writer.save(7, fragments, state={}, rank_state={})
    writer.publish()
    writer.wait()
    return run_yml


def generate(run: Path, *options: object) -> int:
    return main([str(run), *map(str, options)])


def test_a_prompt_and_a_new_document(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(run, "--prompt", "Hello World", "--maximum-tokens", 5) == 0
    text = capsys.readouterr().out
    assert text.startswith("Hello World") and "--- 5 tokens, cut at the limit" in text
    assert generate(run, "--num-samples", 3, "--temperature", 1) == 0
    assert capsys.readouterr().out.count("--- ") == 3


def test_records_of_a_file_of_prompts(run: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    prompts.write_text("Hello\n\n  two words \nx\n")
    assert generate(run, "--input", prompts, "--output", out, "--top-k", 5) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["context"] for record in records] == ["Hello", "two words", "x"]
    for record in records:
        names = ["context", "text", "length", "finished", "message", "duration_seconds"]
        assert list(record) == names
        assert (record["text"] is None) == (record["length"] == 0) == bool(record["message"])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--temperature", "-1"], 2, "temperature is -1.0"),
        (["--top-p", "2"], 2, "top_p is 2.0"),
        (["--num-samples", "0"], 2, "num_samples is 0"),
        (["--prompt", "a" * 24], 2, "24 tokens; the model covers 24"),
        (["--iteration", "3"], 3, "no checkpoint of step 3 in"),
        (["--checkpoint", "/nowhere"], 3, "no checkpoint in /nowhere"),
        (["--input", "/nowhere"], 3, "cannot read the prompts of /nowhere"),
        (["--output", "/nowhere/x"], 3, "cannot write /nowhere/x"),
    ],
)
def test_what_goes_wrong_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str
) -> None:
    assert generate(run, *options) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_wrong_config_says_where(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.write_text(run.read_text() + "hiden_size: 3\n")
    assert generate(run) == 2
    assert "unknown argument hiden_size" in capsys.readouterr().err


def test_a_flipped_byte_names_the_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.parent / "checkpoints" / "step-00000007" / "rank-00000.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)
    assert generate(run) == 3
    assert "rank-00000.safetensors is damaged" in capsys.readouterr().err
