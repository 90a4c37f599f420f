"""Preparing data: same bytes however it is cut, killed or repeated."""

import gzip
import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from neox.data import cli, tokenizer_cli
from neox.data.token_file import TokenFile
from neox.data.tokenizer import TokenizerError
from neox.data.tokenizers import load_tokenizer

TEXTS = [f"The {i}th document: {'x' * (i % 50)} é\n" for i in range(300)]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("tok") / "tok.json"
    source = path.with_name("text.txt")
    source.write_text("".join(TEXTS))
    arguments = ["train", "--input", str(source), "--vocab-size", "300", "--output", str(path)]
    assert tokenizer_cli.main(arguments) == 0
    return path


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


def arguments(vocabulary, source, output, *more):
    plain = ["prepare", "--input", source, "--tokenizer", vocabulary, "--output-prefix", output]
    return [str(one) for one in [*plain, "--workers", "1", *more]]


def both(prefix):
    return [
        prefix.with_name(f"{prefix.name}_text_document{s}").read_bytes() for s in (".bin", ".idx")
    ]


def test_documents_in_order_with_eod(vocabulary, lines, tmp_path):
    assert cli.main(arguments(vocabulary, lines, tmp_path / "o", "--append-eod")) == 0
    tokenizer = load_tokenizer("HFTokenizer", vocabulary)
    file = TokenFile(tmp_path / "o_text_document")
    assert [tokenizer.decode(file.sequence(i).tolist()) for i in range(len(file))] == [
        text + "<|endoftext|>" for text in TEXTS
    ]
    names = sorted(path.name for path in tmp_path.iterdir())
    ours = [f"o_text_document.{end}" for end in ("bin", "idx", "json")]
    assert names == ["in.jsonl", *ours]


def test_gzip_workers_and_chunks_change_nothing(vocabulary, lines, tmp_path):
    assert cli.main(arguments(vocabulary, lines, tmp_path / "a")) == 0
    zipped = tmp_path / "in.jsonl.gz"
    zipped.write_bytes(gzip.compress(lines.read_bytes()))
    more = ["--workers", "2", "--chunk-mb", "0.002"]
    assert cli.main(arguments(vocabulary, zipped, tmp_path / "b", *more)) == 0
    assert both(tmp_path / "a") == both(tmp_path / "b")


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_bytes(vocabulary, lines, tmp_path):
    assert cli.main(arguments(vocabulary, lines, tmp_path / "whole")) == 0
    program = "import sys; from neox.data.cli import main; sys.exit(main(sys.argv[1:]))"
    script = tmp_path / "prepare.py"  # spawned workers import the main module again
    script.write_text(f"if __name__ == '__main__':\n    {program}\n")
    chance = random.Random(0)
    killed = resumed = 0
    for attempt in range(14):
        output = tmp_path / f"k{attempt}"
        command = [sys.executable, script]
        command += arguments(vocabulary, lines, output, "--chunk-mb", "0.0003")
        while True:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            parts = output.with_name(f"{output.name}_text_document.parts")
            _wait_for(lambda parts=parts: any(parts.rglob("*.json")), process)
            time.sleep(chance.random() * 0.1)
            if killed >= 2 * (attempt + 1) or process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        resumed += b"parts from an earlier run" in told
        assert both(output) == both(tmp_path / "whole")
        assert not parts.exists()
    assert killed >= 20 and resumed


def _wait_for(condition, process):
    while not condition() and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"3", "not a JSON object"),
        (b'{"body": "x"}', "no key 'text'; it has 'body'"),
        (b'{"text": null}', "'text' is not a text"),
        (b'{"text": "\\ud800"}', "surrogate"),
        (b'{"text": "\xff"}', "not UTF-8"),
    ],
)
def test_bad_lines_are_named_and_fatal_unless_skipped(vocabulary, tmp_path, capsys, line, reason):
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"text": "good"}\n\n' + line + b'\n{"text": ""}\n{"text": "also"}\n')
    assert cli.main(arguments(vocabulary, source, tmp_path / "o")) == 3
    told = capsys.readouterr().err
    assert f"{source}:3: " in told and reason in told and "--skip-bad" in told
    assert not (tmp_path / "o_text_document.bin").exists()
    assert cli.main(arguments(vocabulary, source, tmp_path / "o", "--skip-bad")) == 0
    told = capsys.readouterr()
    assert "1 bad lines left out" in told.out and f"{source}:3" in told.err
    assert "1 empty documents left out" in told.out
    assert len(TokenFile(tmp_path / "o_text_document")) == 2


def test_what_cannot_be_done_is_said_in_one_message(vocabulary, lines, tmp_path, capsys):
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(lines.read_bytes())[:-20])
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{}")
    output = tmp_path / "o"
    for command, message in (
        (arguments(vocabulary, tmp_path / "no.jsonl", output), "no.jsonl: no such file"),
        (arguments(vocabulary, cut, output), "cannot be read after line"),
        (arguments(vocabulary, empty, output), "no document with a token"),
        (arguments(damaged, lines, output), "not a Hugging Face tokenizer JSON"),
        (arguments(tmp_path / "no.json", lines, output), "no.json does not exist"),
        (["count", str(output)], "no token file"),
        (["inspect", str(output)], "no token file"),
    ):
        assert cli.main(command) == 3
        told = capsys.readouterr().err
        assert message in told and "Traceback" not in told
    assert not list(tmp_path.glob("o_text_document.[bi]*"))


def test_existing_output_is_not_replaced_unasked(vocabulary, lines, tmp_path, capsys):
    assert cli.main(arguments(vocabulary, lines, tmp_path / "o")) == 0
    other = arguments(vocabulary, lines, tmp_path / "o", "--append-eod")
    assert cli.main(other) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*other, "--overwrite"]) == 0


def test_what_is_made_is_not_made_again(vocabulary, lines, tmp_path, capsys):
    same = arguments(vocabulary, lines, tmp_path / "o")
    assert cli.main(same) == 0
    made = (tmp_path / "o_text_document.bin").stat().st_mtime_ns
    assert cli.main(same) == 0
    assert "already made from this input" in capsys.readouterr().out
    assert (tmp_path / "o_text_document.bin").stat().st_mtime_ns == made
    lines.write_text(lines.read_text() + '{"text": "more"}\n')
    assert cli.main(same) == 3  # another input


def test_inspect_says_entropy_of_each_part(vocabulary, lines, tmp_path, capsys):
    assert cli.main(arguments(vocabulary, lines, tmp_path / "o")) == 0
    capsys.readouterr()
    prefix = str(tmp_path / "o_text_document")
    assert cli.main(["inspect", prefix, "--split", "9,1", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    file = TokenFile(prefix)
    held_out = [int(one) for i in range(270, 300) for one in file.sequence(i)]
    shares = [held_out.count(one) / len(held_out) for one in set(held_out)]
    assert math.isclose(
        parts["valid"]["unigram_entropy"], -sum(p * math.log(p) for p in shares), rel_tol=1e-12
    )
    assert parts["train"]["documents"] == 270 and "test" not in parts
    assert cli.main(["inspect", prefix, "--document", "7", "--tokenizer", str(vocabulary)]) == 0
    assert capsys.readouterr().out == TEXTS[7] + "\n"
    assert cli.main(["inspect", prefix, "--document", "300"]) == 3


@pytest.mark.parametrize("argv", [[], ["prepare"], ["inspect", "x", "--document", "-1"], ["no"]])
def test_usage_is_code_2(argv, capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(argv)
    assert raised.value.code == 2


def test_training_is_repeatable(tmp_path, vocabulary):
    again = tmp_path / "again.json"
    source = vocabulary.with_name("text.txt")
    command = ["train", "--input", str(source), "--vocab-size", "300", "--output", str(again)]
    assert tokenizer_cli.main(command) == 0
    assert again.read_bytes() == vocabulary.read_bytes()


def test_gpt2_files_give_the_same_ids(tmp_path, vocabulary):
    model = json.loads(vocabulary.read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    gpt2 = load_tokenizer("GPT2BPETokenizer", tmp_path / "vocab.json", tmp_path / "merges.txt")
    ours = load_tokenizer("HFTokenizer", vocabulary)
    text = "A 12th document, naïve.\n\n  x"
    assert gpt2.encode(text) == ours.encode(text)
    assert gpt2.decode(gpt2.encode(text)) == text
    assert (gpt2.eod, gpt2.vocab_size) == (ours.eod, ours.vocab_size)


def test_characters_and_unknown_kinds():
    characters = load_tokenizer("CharLevelTokenizer", None)
    assert characters.encode("é!") == [195, 169, 33]
    assert characters.decode([195, 169, 33, 0]) == "é!"
    with pytest.raises(TokenizerError, match="WordPiece is unknown; there are Char"):
        load_tokenizer("WordPiece", "x")
    with pytest.raises(TokenizerError, match="GPT2BPETokenizer needs vocab_file"):
        load_tokenizer("GPT2BPETokenizer", None)
