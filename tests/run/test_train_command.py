"""`neox train` as a job runs it: processes, environment, files."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neox.checkpoint.reader import open_checkpoint
from tests.run.tiny_run import TinyRun


def same_tensors(one: Path, other: Path) -> bool:
    first, second = open_checkpoint(one), open_checkpoint(other)
    return first.shapes == second.shapes and all(
        torch.equal(first.read_whole(name, kind), second.read_whole(name, kind))
        for name in first.shapes
        for kind in ("weight", "exp_avg", "exp_avg_sq")
    )


@pytest.mark.slow
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole = TinyRun(tmp_path / "whole")
    (ended,) = whole.start()
    assert ended.code == 0, ended.err
    assert whole.paths.done.exists()
    assert "finished: step 8" in ended.out

    cut = TinyRun(tmp_path / "cut")
    cut.paths.state.mkdir()
    cut.paths.stop.touch()
    (stopped,) = cut.start(job="8")
    assert stopped.code == 0, stopped.err
    assert json.loads(cut.paths.saved("8").read_text())["step"] in (1, 2)
    assert not cut.paths.done.exists()
    cut.paths.stop.unlink()
    (resumed,) = cut.start(job="9")
    assert resumed.code == 0, resumed.err
    assert cut.paths.done.exists()

    assert len(whole.losses()) == 8
    assert cut.losses() == whole.losses()
    assert [e["loss_hex"] for e in cut.events("evaluation")] == [
        e["loss_hex"] for e in whole.events("evaluation")
    ]
    assert same_tensors(cut.paths.checkpoints, whole.paths.checkpoints)
    assert [e["step"] for e in cut.events("start")] == [0, json_step(cut)]


def json_step(run: TinyRun) -> object:
    return run.events("stop")[0]["step"]


@pytest.mark.slow
def test_two_ranks_train_and_resume_though_the_compiler_fails(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("g++", "gcc", "c++", "nvcc", "ninja"):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\necho "$0 $@" >>{tmp_path}/compiled\nexit 1\n')
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    path = f"{tools}:/usr/bin:/bin"
    one = TinyRun(tmp_path / "one", zero_optimization={"stage": 1})
    assert [e.code for e in one.start(ranks=2, PATH=path)] == [0, 0]
    assert not (tmp_path / "compiled").exists(), (tmp_path / "compiled").read_text()

    two = TinyRun(tmp_path / "two", zero_optimization={"stage": 1}, exit_interval=5)
    assert [e.code for e in two.start(ranks=2, PATH=path, job="1")] == [0, 0]
    assert json.loads(two.paths.saved("1").read_text())["step"] == 5
    assert [e.code for e in two.start(ranks=2, PATH=path, job="2")] == [0, 0]
    assert two.losses() == one.losses()
    assert same_tensors(two.paths.checkpoints, one.paths.checkpoints)


def test_evaluate_agrees_with_the_last_evaluation_of_training(tmp_path: Path) -> None:
    run = TinyRun(tmp_path / "run", split="70,20,10")
    assert run.start()[0].code == 0
    (ended,) = run.start("evaluate")
    assert ended.code == 0, ended.err
    told = {line.split()[0]: float(line.split()[2]) for line in ended.out.splitlines()}
    assert told["validation"] == pytest.approx(run.events("evaluation")[-1]["loss"], abs=1e-5)
    assert told["test"] > 0


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"data_path": "/no/such_document"}, 3, "/no/such_document"),
        ({"load": "/no/checkpoints"}, 4, "no checkpoint in /no/checkpoints"),
        ({"hiden_size": 3}, 2, "did you mean hidden_size?"),
        ({"train_epochs": 1, "train_iters": None}, 2, "train_epochs"),
        ({"pipe_parallel_size": 2, "num_layers": 2}, 2, "pipe_parallel_size"),
        ({"vocab_size": 64, "make_vocab_size_divisible_by": 64}, 3, "vocabulary"),
    ],
)
def test_bad_input_is_one_error_with_its_code(
    tmp_path: Path, changes: dict[str, object], code: int, words: str
) -> None:
    run = TinyRun(tmp_path / "run", **changes)
    (ended,) = run.start()
    assert ended.code == code, ended.err
    assert words in ended.err
    assert "Traceback" not in ended.err
    told = json.loads(run.paths.failed("7").read_text())
    assert (told["code"], told["rank"]) == (code, 0)
    assert words in told["reason"]
    assert not run.paths.done.exists()


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    run = TinyRun(tmp_path / "run", exit_interval=4)
    assert run.start()[0].code == 0
    (file,) = run.paths.checkpoints.glob("*/rank-*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    (ended,) = run.start(job="8")
    assert ended.code == 4
    assert file.name in ended.err
    assert "Traceback" not in ended.err


def test_numbers_that_stay_bad_end_with_17_and_the_last_checkpoint_is_sound(
    tmp_path: Path,
) -> None:
    huge = {"type": "Adam", "params": {"lr": 1e30}}
    run = TinyRun(tmp_path / "run", optimizer=huge, checkpoint_factor=1, gradient_clipping=0.0)
    (ended,) = run.start()
    assert ended.code == 17, ended.err
    assert "3 steps in a row" in ended.err
    assert open_checkpoint(run.paths.checkpoints)
    assert json.loads(run.paths.failed("7").read_text())["code"] == 17


def test_a_file_that_is_no_run_yml_is_refused(tmp_path: Path, capsys: object) -> None:
    from neox.run.cli import main

    other = tmp_path / "other.yml"
    other.write_text("{}")
    assert main(["train", str(other)]) == 2


def test_a_profiled_run_trains_alike_and_rank_0_leaves_a_trace(tmp_path: Path) -> None:
    plain = TinyRun(tmp_path / "plain")
    profiled = TinyRun(
        tmp_path / "profiled", profile=True, profile_step_start=2, profile_step_stop=3
    )
    assert plain.start()[0].code == 0
    (ended,) = profiled.start()
    assert ended.code == 0, ended.err
    names = sorted(path.name for path in profiled.paths.profiles.iterdir())
    assert names == ["7.rank-0.steps-2-3.json.gz", "7.rank-0.steps-2-3.txt"]
    assert "profile: " in ended.out
    losses = [[event["loss"] for event in run.events("step")] for run in (plain, profiled)]
    assert losses[0] == losses[1]


def test_a_rank_starts_without_torch_s_compiler() -> None:
    """torch._dynamo takes over a second to import, on every rank of every job."""
    code = "import neox.run.jobs, sys; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run((sys.executable, "-c", code), check=False).returncode == 0
