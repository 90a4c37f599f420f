"""What differs between runs, links and sites; an oracle of its own: `patch` accepts the lines."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from neox.submit import cli
from neox.submit.diff import Side, differences, printed, side_of_run
from neox.submit.files import new_folder
from neox.submit.record import write_run
from neox.submit.run_files import files_of
from tests.submit.runs import CONFIG, prepared, written


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = cli.main(["diff", *words])
    out = capsys.readouterr()
    assert code == 0, out.err
    return out.out


def test_a_run_is_the_same_as_itself_under_another_name(tmp_path: Path) -> None:
    first = written(tmp_path)
    second = write_run(prepared(tmp_path, "-o", str(tmp_path / "other")), "refuse")
    found = differences(side_of_run(first), side_of_run(second.prepared.plan.run))
    changed = [line for diff in found for line in diff.lines if line[0] in "+-"]
    assert all("neox-submit --site" in line for line in changed)  # the header, and nothing else


def test_what_differs_is_named_in_plan_script_and_config(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder)
    write_run(prepared(folder, "--nodes", "2", "weight_decay=0.2", "--name", "other"), "refuse")
    text = said(capsys, "run", "other")
    for line in ("-#SBATCH --nodes=1", "+#SBATCH --nodes=2", "+weight_decay: 0.2"):
        assert line in text.splitlines()
    assert "+where: " in text
    assert f"--- {folder}/runs/run: plan" in text


def test_the_last_two_versions_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = written(folder)
    assert cli.main(["diff", "run"]) == 2
    assert "one version only" in capsys.readouterr().err
    new_folder(run.link(1).root, files_of(prepared(folder), 1))
    write_run(prepared(folder, "weight_decay=0.2"), "continue")
    text = said(capsys, "run")
    assert "+weight_decay: 0.2" in text and f"--- {run.link(1).root}: run.yml" in text
    assert "+weight_decay: 0.2" in said(capsys, "run/links/1", "run")


def test_an_edit_by_hand_is_seen(tmp_path: Path) -> None:
    run = written(tmp_path)
    before = side_of_run(run)
    run.rank_script.write_text(run.rank_script.read_text() + "# mine\n")
    (found,) = differences(before, side_of_run(run))
    assert found.name == "rank.sh" and found.lines[-1] == "+# mine"


def test_one_config_on_two_sites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--site", "frontier", "--against", "lumi", "tiny.yml")
    assert "--- frontier: plan" in text and "+++ lumi: job.sh" in text
    assert "-site: OLCF Frontier" in text and "+#SBATCH --account=" in text
    assert not (folder / "runs").exists()
    words = ("--site", "slurm", "--against", "slurm", "tiny.yml")
    assert said(capsys, *words) == "slurm and slurm: the same plan, scripts and config\n"


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder)
    found = json.loads(said(capsys, "run", "run", "--json"))
    assert found["schema_version"] == 1 and found["differences"] == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "diff of what?"),
        (("a", "b", "c"), "diff of what?"),
        (("nothing", "here"), "neither a run nor a link"),
        (("--site", "slurm", "--against", "lumi"), "diff of which config?"),
        (("a", "b", "--jsn"), "did you mean --json?"),
    ],
)
def test_what_cannot_be_compared_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    assert cli.main(["diff", *words]) in (2, 4)
    assert complaint in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("patch") is None, reason="no patch here")
def test_patch_makes_the_second_of_the_first(tmp_path: Path) -> None:
    old = "".join(f"line {n}\n" for n in range(30))
    new = old.replace("line 3\n", "").replace("line 20\n", "line twenty\nand more\n")
    sides = (Side(title="a", texts={"f": old}), Side(title="b", texts={"f": new}))
    (tmp_path / "f").write_text(old)
    text = "\n".join(printed(*sides)).rstrip("\n") + "\n"
    done = subprocess.run(
        ["patch", str(tmp_path / "f")], input=text, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "f").read_text() == new
