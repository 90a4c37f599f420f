"""A sample as a run reads it: its documents, and what of them is learnt."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest

from neox.data import cli
from neox.data.token_writer import TokenFileWriter
from tests.data.files import write_tokens
from tests.run.tiny_run import config

TEXTS = ["first document.", "The second, é.", "third\x1b[2J!", "4th"] * 5
CHARACTER_WORDS = ["--tokenizer-type", "CharLevelTokenizer"]
CHARACTERS = {"tokenizer_type": "CharLevelTokenizer", "vocab_size": 512}


@pytest.fixture
def run_yml(tmp_path):
    """A run on documents of bytes, each ended by id 0; labels leave every second token out."""
    documents = [[*text.encode(), 0] for text in TEXTS]
    write_tokens(tmp_path / "data", documents)
    labels = [[one if place % 2 else -100 for place, one in enumerate(d)] for d in documents]
    write_tokens(tmp_path / "labels", labels, "<i4")
    plain = json.loads(config(tmp_path / "data", **CHARACTERS, split="1", eval_iters=0))
    path = tmp_path / "run.yml"
    path.write_text(json.dumps(plain))
    return path


def inspect(capsys, *words):
    code = cli.main(["inspect", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_sample_of_a_run(run_yml, capsys):
    shown = ""
    for number in range(9):
        code, out, _ = inspect(capsys, "--config", run_yml, "--sample", number)
        first, *lines = out.splitlines()
        assert code == 0 and first == f"train sample {number} of 32: 33 tokens, 32 learnt"
        borders = [line for line in lines if line.startswith("--- document")]
        texts = [line for line in lines if not line.startswith("--- document")]
        assert borders[0].startswith("--- document 1: tokens 0 to ") and len(borders) >= 2
        assert texts[0].startswith("[[")  # the first token is no target
        assert "]]" in texts[0] and "[[" not in "".join(texts[1:])
        shown += "".join(texts).replace("[[", "").replace("]]", "")
    assert "The second, é." in shown and "\x1b" not in shown


def test_what_a_mask_leaves_out_stands_in_brackets(run_yml, capsys):
    plain = json.loads(run_yml.read_text())
    plain["eod_mask_loss"] = True
    run_yml.write_text(json.dumps(plain))
    _, out, _ = inspect(capsys, "--config", run_yml, "--sample", 1)
    texts = [line for line in out.splitlines()[1:] if not line.startswith("---")]
    assert all(text.startswith("[[") and text[3:5] == "]]" for text in texts[1:])  # after each end
    learnt = 33 - len(texts)  # the first token of each document is none
    assert f"33 tokens, {learnt} learnt" in out
    folder = run_yml.parent
    words = ["--document", 1, *CHARACTER_WORDS]
    _, out, _ = inspect(capsys, folder / "data", *words, "--labels", folder / "labels")
    assert out.startswith("[[T]]h[[e]] [[s]]e[[c]]o")
    _, out, _ = inspect(capsys, folder / "data", *words)
    assert out == "The second, é.\n"


def test_colour_on_a_terminal_alone(run_yml):
    program = "import sys; from neox.data.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "inspect", "--config", str(run_yml), "--sample", "0"]
    shown = on_terminal(words, {"NO_COLOR": ""})
    assert "\x1b[1m--- document 1" in shown and "\x1b[36m" in shown and "\x1b[33m" in shown
    assert "\x1b[2;36m" in shown and "[[" not in shown
    assert "\x1b" not in on_terminal(words, {"NO_COLOR": "1"})


def on_terminal(words, more):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdout=theirs, env=os.environ | more)
    os.close(theirs)
    shown = io.BytesIO()
    try:
        while block := os.read(ours, 4096):
            shown.write(block)
    except OSError:
        pass  # the other end was closed
    os.close(ours)
    assert process.wait() == 0
    return shown.getvalue().decode()


def test_mistakes_are_one_message(run_yml, tmp_path, capsys):
    with TokenFileWriter(tmp_path / "short", "<i4") as writer:
        writer.add([1])
    data = tmp_path / "data"
    for words, message in (
        ([], "inspect what? give a PREFIX"),
        ([data, "--sample", 3], "inspect what?"),
        ([data, "--config", run_yml, "--sample", 3], "give --sample N, and no PREFIX"),
        (["--config", run_yml, "--sample", 32], "sample 32 of data: the order holds 32 samples"),
        (["--config", run_yml, "--sample", 0, "--part", "test"], "keeps no test documents"),
        (
            [data, "--document", 0, *CHARACTER_WORDS, "--labels", tmp_path / "short"],
            "1 labels for 16 tokens",
        ),
    ):
        code, _, err = inspect(capsys, *words)
        assert code == 3 and message in err and "Traceback" not in err
