"""`neox config check` and `show`."""

from pathlib import Path

import pytest

from neox.config.cli import main, split_words
from neox.config.show import show

from .conftest import Resolver

CONFIGS = Path(__file__).parents[2] / "configs"


def test_check_says_what_is_missing_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(CONFIGS / "20B.yml"), "launcher=slurm"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "not yet: pipe_parallel_size: 4: pipeline stages are not built yet" in out
    assert out.startswith("warning: without effect: launcher")
    assert out.splitlines()[-1].endswith("20B.yml: 41 arguments, no errors")


def test_errors_go_to_stderr_with_code_2(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(small), "hiden_size=3"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "hiden_size=3: unknown argument hiden_size; did you mean hidden_size?\n"
    assert main(["check", "seed=3"]) == 2
    assert main(["check", str(small), "hostfile=/no/hosts"]) == 2
    assert "/no/hosts is not there" in capsys.readouterr().err


def test_show_prints_every_value_with_its_origin(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(small), "seed=3", "--ranks", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = [line.split() for line in lines]
    assert ["seed", "3", "seed=3"] in words
    assert [f"{small}:1"] in words or ["num_layers", "4", f"{small}:1"] in words
    assert ["warmup", "0.01", "default"] in words
    assert [row[:3] for row in words if row and row[0] == "train_batch_size"] == [
        ["train_batch_size", "4", "rule:"]
    ]


def test_show_keeps_to_80_columns(resolved: Resolver) -> None:
    lines = show(resolved("data_path=a/rather/long/path", "extra_save_iters=[1, 2, 4, 8, 16, 32]"))
    wide = [line for line in lines if len(line) > 80]
    assert all("/small.yml" in line for line in wide)  # a path stays in one piece


def test_given_leaves_the_defaults_out(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(small), "--given"]) == 0
    out = capsys.readouterr().out
    assert not any(line.endswith(" default") for line in out.splitlines())
    assert "rule: 4 x hidden_size" in out


def test_words_are_files_or_values() -> None:
    files, values = split_words(["a.yml", "k=v", "./x=y.yml", "data_path=/a/b"])
    assert files == [Path("a.yml"), Path("./x=y.yml")]
    assert values == ["k=v", "data_path=/a/b"]


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "neox config show configs/20B.yml train_iters=100" in out
    assert "Exit codes" in out
