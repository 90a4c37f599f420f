"""Keys planted in the environment, searched for in everything that leaves `neox-submit` or a rank.

A key in a config, on the command line or in a profile would be kept by scripts, manifests and
checkpoints, so there it is refused, and the refusal does not repeat it.
"""

from pathlib import Path

import pytest

from neox.secret_names import names_a_secret
from neox.submit import cli
from tests.run.tiny_run import TinyRun
from tests.submit.runs import CONFIG

CANARY = "canary-8d41f0"
KEYS = ("WANDB_API_KEY", "HF_TOKEN", "COMET_API_KEY", "AWS_SECRET_ACCESS_KEY")
RUN = ("--site", "slurm", "tiny.yml", "--name", "run")
SWEEP = ("--site", "slurm", "tiny.yml", "--name", "lrs", "--sweep", "seed=1,2", "--array")
SITES = ("--account", "abc123", "--against", "lumi", "--against-account", "project_465000001")
# each kind of output once; those that want a run find the ones that the first lines write
COMMANDS: tuple[tuple[str, ...], ...] = (
    (*RUN, "--chain", "2", "--yes"),
    (*RUN, "--continue", "--profile", "torch"),
    (*RUN, "--fresh", "seed=2"),
    (*RUN, "--print"),
    (*RUN, "--dry-run"),
    (*RUN, "--dry-run", "--json"),
    (*RUN, "--dry-run", "--chain", "auto", "--seconds-per-step", "1"),
    (*SWEEP, "--yes"),
    ("status",),
    ("status", "run"),
    ("status", "run", "--json"),
    ("status", "lrs"),
    ("explain", "run"),
    ("diff", "run", "run-2"),
    ("diff", "--site", "frontier", *SITES, "tiny.yml"),
    ("suggest", *RUN[:3], "--nodes", "2"),
    ("chain", "run", "--json"),
    ("logs", "run"),
    ("stop", "run"),
    ("cancel", "run"),
    ("doctor", "--site", "slurm"),
    ("doctor",),
    ("sites", "list"),
    ("sites", "show", "slurm"),
    ("sites", "check", "slurm"),
    ("jobs", "show", "train"),
    ("--site", "nowhere", "tiny.yml"),
    (*RUN, "--nodes", "0"),
    ("--help",),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login node with a Slurm of few words, and keys in the environment."""
    (tmp_path / "tiny.yml").write_text(CONFIG)
    answers = {"sbatch": "101", "squeue": "101|PENDING|Priority", "sacct": "", "scancel": ""}
    (tmp_path / "bin").mkdir()
    for name, text in answers.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    for name in KEYS:
        monkeypatch.setenv(name, CANARY)
    return tmp_path


def written(folder: Path) -> str:
    """All files, and all their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "".join(f"{path}\n{path.read_bytes().decode(errors='replace')}\n" for path in files)


def test_no_output_holds_a_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in COMMANDS:
        if words[0] == "logs":
            (folder / "runs" / "run" / "logs" / "101.out").write_text("hello\n")
        code = cli.main(list(words))
        captured = capsys.readouterr()
        assert code in (0, 2, 4), (words, captured.err)
        assert captured.out + captured.err, words
        assert CANARY not in captured.out + captured.err, words
    everything = written(folder)
    for name in ("job.sh", "rank.sh", "run.yml", "plan.json", "review.html", "submissions.jsonl"):
        assert f"/runs/run/{name}\n" in everything, name
    assert "/runs/lrs/array.sh\n" in everything and "/links/1/plan.json\n" in everything
    assert CANARY not in everything


@pytest.mark.parametrize("text", ["wandb_api_key: {}", "comet_others: {{api_key: {}}}"])
def test_a_key_in_a_config_is_refused_and_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (folder / "key.yml").write_text(f"{text.format(CANARY)}\n")
    assert cli.main([*RUN, "key.yml"]) == 2
    said = capsys.readouterr().err
    assert "api_key" in said and CANARY not in said
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("key", ["WANDB_API_KEY", "wandb_api_key", "comet_others.api_key"])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    for command in ((), ("suggest",)):
        assert cli.main([*command, *RUN, f"{key}={CANARY}", "--json"]) == 2
        captured = capsys.readouterr()
        assert f"{key}=...: a secret has no place" in captured.err
        assert CANARY not in captured.out + captured.err
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("table", ["env", "modules.prepend"])
def test_a_key_in_a_profile_is_refused_and_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    (folder / "sites").mkdir()
    value = f'"{CANARY}"' if table == "env" else f'["/{CANARY}"]'
    (folder / "sites" / "mine.toml").write_text(
        f'schema = 1\nextends = "slurm"\ntitle = "mine"\n[{table}]\nHF_TOKEN = {value}\n'
    )
    assert cli.main(["--site", "mine", *RUN[2:]]) == 2
    said = capsys.readouterr().err
    assert "sites/mine.toml:5: " in said and "HF_TOKEN: a secret has no place" in said
    assert CANARY not in said


@pytest.mark.slow
def test_a_training_leaves_no_key_in_events_logs_or_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, CANARY)
    run = TinyRun(tmp_path / "run", profile=True, profile_step_start=2, profile_step_stop=2)
    (ended,) = run.start()
    assert ended.code == 0, ended.err
    assert run.paths.done.exists() and list(run.paths.profiles.iterdir())
    assert CANARY not in ended.out + ended.err + written(tmp_path)


@pytest.mark.parametrize("name", KEYS)
def test_such_names_are_known(name: str) -> None:
    assert names_a_secret(name) and names_a_secret(name.lower())


@pytest.mark.parametrize(
    "name",
    ["TOKENIZERS_PARALLELISM", "maximum_tokens", "eod_mask_token", "NCCL_NET", "seed", "key"],
)
def test_others_are_left_alone(name: str) -> None:
    assert not names_a_secret(name)
