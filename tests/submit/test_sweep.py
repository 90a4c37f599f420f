"""Sweeps: what is written for which values, all or nothing, and the table of what became of it."""

import json
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit import cli
from neox.submit.manifest import read_manifest
from neox.submit.refusal import UsageError
from neox.submit.render import render
from neox.submit.run_files import prepare_again
from neox.submit.submissions import Submission, record
from neox.submit.sweep import runs_in, variants
from tests.submit.runs import CONFIG

SLURM = ("--site", "slurm", "tiny.yml", "--name", "lrs")
AXES = ("--sweep", "optimizer.params.lr=0.1,0.01", "--sweep", "seed=1,2,3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    return tmp_path


def test_every_combination_or_value_by_value() -> None:
    names = [made.name for made in variants(("a.lr=1,2", "seed=3,4"), zipped=False)]
    assert names == ["lr=1+seed=3", "lr=1+seed=4", "lr=2+seed=3", "lr=2+seed=4"]
    zipped = variants(("a.lr=1,2", "seed=3,4"), zipped=True)
    assert [made.overrides for made in zipped] == [("a.lr=1", "seed=3"), ("a.lr=2", "seed=4")]


def test_a_comma_in_brackets_or_quotes_belongs_to_its_value() -> None:
    made = variants(('betas=[0.9,0.95],[0.9,0.99],"a,b"',), zipped=False)
    values = ["betas=[0.9,0.95]", "betas=[0.9,0.99]", 'betas="a,b"']
    assert [one.overrides[0] for one in made] == values
    assert [one.name for one in made] == ["run-1", "run-2", "run-3"]  # no names for folders


def test_names_that_would_meet_are_numbers() -> None:
    made = variants(("a.x=1,2", "b.x=1,2"), zipped=False)
    assert len({one.name for one in made}) == 4


@pytest.mark.parametrize(
    ("axes", "zipped", "complaint"),
    [
        (("lr",), False, "is not KEY=VALUE"),
        (("lr=",), False, "is not KEY=VALUE"),
        (("lr=1,,2",), False, "is not KEY=VALUE"),
        (("lr=1,1",), False, "names a value twice"),
        (("lr=1", "lr=2"), False, "lr is given twice"),
        (("lr=1,2", "seed=1"), True, "lr: 2, seed: 1"),
        (tuple(f"k{n}=1,2" for n in range(9)), False, "512 runs"),
    ],
)
def test_what_cannot_be_meant_is_said(axes: tuple[str, ...], zipped: bool, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        variants(axes, zipped=zipped)


def test_each_run_is_whole_and_can_be_made_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SLURM, *AXES]) == 0
    said = capsys.readouterr().out
    assert "lrs: 6 runs on" in said and "6 node-hours together" in said
    assert f"neox-submit submit {folder}/runs/lrs" in said
    runs = runs_in(folder / "runs" / "lrs")
    assert [run.name for run in runs] == [
        f"lr={lr}+seed={seed}" for lr in ("0.01", "0.1") for seed in (1, 2, 3)
    ]
    for run in runs:
        assert run.review_page.exists()
        again = prepare_again(run)
        assert render(again.plan, link=1).job == run.job_script.read_text()
        assert f"runs/lrs/{run.name}" in run.job_script.read_text()
    assert [path.name for path in (folder / "runs").iterdir()] == ["lrs"]
    text = runs[1].run_config.read_text()
    assert "lr: 0.01" in text and "\nseed: 2" in text


def test_the_command_in_a_script_makes_that_run_alone(folder: Path) -> None:
    assert cli.main([*SLURM, *AXES, "--yes", "--dry-run"]) == 0
    assert cli.main([*SLURM, *AXES]) == 0
    run = runs_in(folder / "runs" / "lrs")[0]
    argv = read_manifest(run).request.argv
    assert "--sweep" not in argv
    text = run.job_script.read_text()
    run.root.rename(folder / "kept")
    assert cli.main(list(argv[1:])) == 0
    assert run.job_script.read_text() == text


def test_one_that_is_wrong_refuses_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SLURM, "--sweep", "num_attention_heads=2,3,0"]) == 2
    said = capsys.readouterr().err
    assert "num_attention_heads=3: " in said and "num_attention_heads=0: " in said
    assert "2 of 3 runs; none written" in said and "num_attention_heads=2: " not in said
    assert not (folder / "runs").exists()


def test_a_folder_in_the_way_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SLURM, *AXES]) == 0
    assert cli.main([*SLURM, *AXES]) == 4
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--print", "--here", "--continue", "--fresh"])
def test_what_is_for_one_run_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert cli.main([*SLURM, *AXES, word]) == 2
    assert f"{word} is for one run" in capsys.readouterr().err


def test_dry_run_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SLURM, *AXES, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not (folder / "runs").exists()
    assert cli.main([*SLURM, *AXES, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["runs"]) == 6 and said["written"] and said["submitted"] == []


def test_status_of_a_sweep_is_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SLURM, *AXES]) == 0
    first = runs_in(folder / "runs" / "lrs")[0]
    _submitted(first)
    capsys.readouterr()
    assert cli.main(["status", "lrs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[7:] == ["6 runs: 5 not submitted, 1 unknown"]
    assert lines[0].split() == ["run", "job", "step", "loss", "state"]
    assert lines[1].split()[:2] == ["lr=0.01+seed=1", "7"]
    assert lines[2].split()[1:] == ["-", "-", "-", "not", "submitted"]
    assert cli.main(["explain", "lrs"]) == 4
    assert "is for one of them" in capsys.readouterr().err


def _submitted(run: RunPaths) -> None:
    record(
        run,
        Submission(
            link=1,
            job_id="7",
            after=None,
            argv=("sbatch", "job.sh"),
            time="2026-01-01T00:00:00Z",
            user="me",
            hostname="login1",
        ),
    )


def test_a_sweep_is_submitted_run_by_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = folder / "bin"
    commands.mkdir()
    sbatch = commands / "sbatch"
    sbatch.write_text(f"#!/bin/sh\necho x >>{folder}/count\nwc -l <{folder}/count\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    assert cli.main([*SLURM, *AXES, "--yes"]) == 0
    assert "lr=0.1+seed=3: submitted link 1 as job 6" in capsys.readouterr().out
    assert cli.main(["submit", "lrs"]) == 0
    assert capsys.readouterr().out.count("was submitted before") == 6
    assert (folder / "count").read_text().count("x") == 6
