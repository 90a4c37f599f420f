"""`neox tune` as a person types it, on a machine without a GPU; tests/ops has the tuning itself."""

from pathlib import Path

import pytest
import torch

from neox.kernels.gemm import Gemm, Tuned
from neox.kernels.gemm_table import read_table, table_path
from neox.run import tune

CONFIG = str(Path(__file__).parents[2] / "configs" / "pythia" / "160M.yml")
INTERRUPTED_AT = 30  # products


class Library:
    version = 130100


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[Gemm]:
    """As if there were one, on which every second product has a faster algorithm."""
    asked: list[Gemm] = []

    def found(library: Library, gemm: Gemm, device: torch.device) -> tuple[Tuned, int]:
        if len(asked) == INTERRUPTED_AT:
            raise KeyboardInterrupt
        asked.append(gemm)
        algorithm = bytes(64) if len(asked) % 2 else None
        return Tuned(algorithm=algorithm, seconds=0.9e-3, seconds_of_torch=1e-3), 1234

    monkeypatch.setattr(tune, "tune", found)
    monkeypatch.setattr(tune, "gemm_library", lambda device: Library())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    return asked


def test_what_is_there_is_not_tuned_again(
    gpu: list[Gemm], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [CONFIG, "precision=bfloat16", "fp16.enabled=false", "--into", str(tmp_path)]
    assert tune.main(argv) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("NVIDIA H200, cuBLASLt 130100; into ")
    assert said[1] == "15 products to tune, 0 are there"
    assert said[3].split() == [
        "query_key_value", "forward", "65,536", "x", "2,304", "x", "768",
        "1.000", "0.900", "10.0%", "1,234",
    ]  # fmt: skip
    assert said[4].split()[-2:] == ["none", "1,234"]
    assert said[-1].startswith("8 of 15 are faster now")
    assert all(len(line) <= 80 for line in said[1:])
    found = read_table(table_path(tmp_path, "NVIDIA H200", 130100))
    assert set(found) == set(gpu) and len(gpu) == 15

    assert tune.main(argv) == 0
    assert len(gpu) == 15
    assert "0 products to tune, 15 are there" in capsys.readouterr().out
    assert tune.main([*argv, "--again", "hidden_size=384"]) == 0
    assert len(gpu) == 27  # the dense layer's are too small to gain by
    assert len(read_table(table_path(tmp_path, "NVIDIA H200", 130100))) == 27


def test_what_was_found_before_ctrl_c_is_kept(
    gpu: list[Gemm], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.extend([Gemm(kind="dgrad", m=1, n=1, k=1, dtype="float16")] * (INTERRUPTED_AT - 4))
    assert tune.main([CONFIG, "--into", str(tmp_path)]) == 130
    said = capsys.readouterr()
    assert "what stands above is kept" in said.err
    assert said.out.endswith("65,536 x 768 x 768  \n")  # the line that was begun is ended
    assert said.out.splitlines()[-1].split()[:2] == ["dense", "dgrad"]
    assert len(read_table(table_path(tmp_path, "NVIDIA H200", 130100))) == 4


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ((), 4, "torch sees no GPU"),
        (("precision=fp32", "fp16.enabled=false"), 4, "the config's products are in fp32"),
        (("hidden_size=96", "seq_length=128", "train_micro_batch_size_per_gpu=4"), 4, "too small"),
        (("hidden_size=wide",), 2, "hidden_size: "),
        (("pos_emb=alibi",), 2, "pos_emb"),
        (("vocab_size=null", "vocab_file=nowhere.json"), 3, "nowhere.json"),
        (("--into", "/dev/null/store"), 4, "Not a directory"),
    ],
)
def test_refusals_are_one_line(
    words: tuple[str, ...],
    code: int,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not words:
        monkeypatch.undo()
    assert tune.main([CONFIG, *words]) == code
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_help_teaches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        tune.main(["--help"])
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "neox tune RUN/run.yml" in said and "neox-submit --site perlmutter --job tune" in said
