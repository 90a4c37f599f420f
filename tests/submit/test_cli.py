import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neox.sites.profile import Identify
from neox.submit import cli
from neox.submit.cli_args import VERBS, parse_run, parse_verb
from neox.submit.cli_help import HELP
from neox.submit.hostfile import read_hostfile
from neox.submit.identify import matches, this_site
from neox.submit.refusal import UsageError
from tests.submit.runs import CONFIG, around


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    return tmp_path


SLURM = ("--site", "slurm", "tiny.yml")


def test_help_teaches_and_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text == HELP
    assert max(map(len, text.splitlines())) <= 100
    for word in (
        *VERBS,
        "doctor",
        "sites",
        "jobs",
        "--here",
        "--fresh",
        "--directive",
        "NEOX_DEBUG",
    ):
        assert word in text


def test_help_imports_neither_yaml_nor_jinja_and_is_quick() -> None:
    code = (
        "import sys; from neox.submit.cli import main; main(['--help']); "
        "print([m for m in ('yaml', 'jinja2', 'torch', 'numpy') if m in sys.modules])"
    )
    took = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        took.append(time.perf_counter() - began)
    assert done.stdout.endswith("[]\n")
    assert min(took) < 0.12


def test_print_shows_the_script_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SLURM, "--print"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n")
    assert cli.main([*SLURM, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["tiny.yml"]


def test_a_dry_run_says_what_would_be_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aurora = ["--site", "aurora", "--account", "ds", "--nodes", "2", "--queue", "debug"]
    assert cli.main([*aurora, "tiny.yml", "--time", "0:30:00", "--dry-run"]) == 0
    assert "does not know Intel's GPUs" in " ".join(capsys.readouterr().out.split())
    assert cli.main([*aurora, "tiny.yml", "--time", "0:30:00", "--yes"]) != 0
    assert "does not know Intel's GPUs" in capsys.readouterr().err


def test_without_a_terminal_it_stops_after_writing_and_says_how_to_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SLURM, "--name", "a"]) == 0
    assert f"neox-submit submit {folder}/runs/a" in capsys.readouterr().out
    assert (folder / "runs/a/job.sh").exists()
    assert not (folder / "runs/a/submissions.jsonl").exists()


def test_a_machine_without_sbatch_gives_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert cli.main([*SLURM, "--name", "a", "--yes"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("neox-submit: sbatch is not on this machine's PATH")
    assert len(error.splitlines()) == 1
    assert not (folder / "runs/a/links/1").exists()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--sight", "slurm", "tiny.yml"], 2, "unknown option --sight; did you mean --site?"),
        (["--site", "slurm"], 2, "which config?"),
        (["--site", "nosuch", "tiny.yml"], 2, "no site named 'nosuch'; there are:"),
        (["--site", "slurm", "--job", "nosuch", "tiny.yml"], 2, "no job named 'nosuch'"),
        ([*SLURM, "--nodes", "0"], 2, "'0' is not a whole number from 1 on"),
        ([*SLURM, "--time", "soon"], 2, "soon"),
        ([*SLURM, "--print", "--here"], 2, "exclude each other"),
        ([*SLURM, "--continue", "--fresh"], 2, "give one of them"),
        (["--site", "slurm", "missing.yml"], 2, "missing.yml: no such file"),
        ([*SLURM, "hiden_size=4"], 2, "did you mean hidden_size?"),
        (["status", "nowhere"], 4, "nowhere: not a run directory"),
        (["stop"], 2, "stop which run?"),
        (["logs", "x", "--rank", "-1"], 2, "see neox-submit --help"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    complaint: str,
) -> None:
    assert cli.main(words) == code
    said = capsys.readouterr()
    assert complaint in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_bug_is_one_line_and_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(words: list[str]) -> int:
        raise KeyError("inner")

    monkeypatch.setattr(cli, "_act", broken)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert cli.main(["tiny.yml"]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    (kept,) = folder.glob("*.traceback")
    assert str(kept) in error
    assert "Traceback" in kept.read_text()
    monkeypatch.setenv("NEOX_DEBUG", "1")
    assert cli.main(["tiny.yml"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bare_value_error_is_a_bug_not_an_answer(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(words: list[str]) -> int:
        raise ValueError("not ours")

    monkeypatch.setattr(cli, "_act", broken)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert cli.main(["tiny.yml"]) == 1
    assert "a bug in NeoX" in capsys.readouterr().err


def test_json_has_a_schema_version_also_for_errors(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SLURM, "--name", "a", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema_version"] == 1
    assert (said["written"], said["submitted"]) == (True, [])
    assert cli.main([*SLURM, "--name", "a", "--json"]) == 4
    error = json.loads(capsys.readouterr().out)
    assert error["error"]["code"] == 4
    assert cli.main(["status", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["state"] == "not submitted"


def test_a_retired_site_renders_and_takes_no_job(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--site", "summit", "--account", "abc123", "--nodes", "2", "tiny.yml"]
    words += ["--python", "/usr/bin/python3"]
    assert cli.main([*words, "--print"]) == 0
    assert "jsrun" in capsys.readouterr().out
    assert cli.main([*words, "-o", "runs", "--yes"]) == 4
    assert "summit takes no jobs since 2024-11-15" in capsys.readouterr().err


def test_options_may_stand_anywhere_and_values_may_begin_with_a_dash() -> None:
    words = [
        "a.yml",
        "--site",
        "s",
        "x.y=1",
        "--launch-arg",
        "--mca",
        "b.yml",
        "--directive",
        "-C=x",
    ]
    given = parse_run(words)
    assert given.configs == (Path("a.yml"), Path("b.yml"))
    assert given.overrides == ("x.y=1",)
    assert given.launch_args == ("--mca",)
    assert given.directives == ("-C=x",)
    assert parse_run(["./a=b.yml"]).configs == (Path("a=b.yml"),)
    both = parse_run(["-d", "mine", "125M", "lr=1", "local.yml"])
    assert both.configs == (Path("mine/125M"), Path("mine/local.yml"))
    assert both.overrides == ("lr=1",)
    assert parse_verb("logs", ["run", "--rank", "3", "-f"]).rank == 3


def test_the_site_is_recognised_or_the_sites_are_listed(tmp_path: Path) -> None:
    assert this_site(around(tmp_path, LMOD_SYSTEM_NAME="frontier")) == "frontier"
    with pytest.raises(UsageError, match=r"--site, one of: .*frontier, .*slurm"):
        this_site(around(tmp_path))
    here = around(tmp_path, A="1")
    assert matches(Identify(env={"A": "1"}, hostname="login[0-9]"), here)
    assert not matches(Identify(env={"A": "1"}, hostname="login"), here)  # the whole name
    assert not matches(Identify(), here)


def test_a_hostfile_is_read_as_mpirun_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("# nodes\nn1 slots=4\n\nn2.example slots = 4 max_slots=8 # spare\nn3\n")
    assert read_hostfile(path) == ("n1", "n2.example", "n3")
    for text, complaint in (
        ("n1\nn1\n", "hosts:2: n1 stands on line 1 already"),
        ("n1; touch x\n", "hosts:1: .* is not"),
        ("-x\n", "hosts:1"),
        ("\n", "names no host"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=complaint):
            read_hostfile(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_hostfile(tmp_path / "nowhere")


def test_output_into_a_closed_pipe_is_quiet(folder: Path) -> None:
    argv = [sys.executable, "-m", "neox.submit.cli", *SLURM, "--print"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""


@pytest.mark.parametrize(("typed", "jobs"), [("y\n", 1), ("\n", 0), ("no\n", 0), ("\x04", 0)])
def test_a_person_is_asked_and_only_yes_submits(folder: Path, typed: str, jobs: int) -> None:
    (folder / "sbatch").write_text("#!/bin/sh\necho 7\n")
    (folder / "sbatch").chmod(0o755)
    primary, terminal = pty.openpty()
    argv = [sys.executable, "-m", "neox.submit.cli", *SLURM, "--name", "asked"]
    env = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}
    with subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env) as child:
        os.close(terminal)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(primary, 4096)
        os.write(primary, typed.encode())
        with contextlib.suppress(OSError):  # the terminal closes when the program has ended
            while block := os.read(primary, 4096):
                said += block
    os.close(primary)
    assert child.returncode == 0
    assert said.count(b"submitted link 1 as job 7") == jobs
    assert (folder / "runs/asked/submissions.jsonl").exists() == bool(jobs)
