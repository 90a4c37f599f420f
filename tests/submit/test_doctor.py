from dataclasses import replace
from pathlib import Path

import pytest

from neox.content import shelf
from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.submit.doctor import doctor, examine
from neox.submit.edge import Surroundings
from tests.submit.fake_runner import FakeRunner, says
from tests.submit.runs import around


def site(name: str, here: Surroundings) -> Profile:
    return load_site(name, shelf("sites", environ=here.environ, cwd=here.cwd))


def commands(folder: Path, *names: str) -> Surroundings:
    for name in names:
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    return around(folder, PATH=str(folder))


def levels(here: Surroundings, profile: Profile | None, **answers: object) -> dict[str, str]:
    runner = FakeRunner(dict(answers))  # type: ignore[arg-type]
    return {finding.what: finding.level for finding in examine(profile, here, runner)}


SLURM = ("sbatch", "squeue", "sacct", "scancel")


def test_a_working_slurm_is_fine(tmp_path: Path) -> None:
    here = commands(tmp_path, *SLURM)
    found = levels(here, site("slurm", here), sinfo=says("batch*\ndebug\n"))
    assert found["slurm"] == found["python"] == found["runs"] == "ok"


def test_a_missing_command_says_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = commands(tmp_path)
    assert doctor("slurm", here, FakeRunner()) == 4
    out = capsys.readouterr().out
    assert "sbatch       not on PATH: jobs cannot be submitted from here; --print works" in out


def test_a_slurm_that_does_not_answer_is_missing(tmp_path: Path) -> None:
    here = commands(tmp_path, *SLURM)
    found = levels(here, site("slurm", here), sinfo=says("", 1, "Unable to contact"))
    assert found["slurm"] == "missing"


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("lsf", ("bsub", "bjobs", "bkill")),
        ("pbs", ("qsub", "qstat", "qdel")),
        ("flux", ("flux",)),
    ],
)
def test_every_scheduler_is_asked_whether_it_answers(
    tmp_path: Path, name: str, tools: tuple[str, ...]
) -> None:
    here = commands(tmp_path, *tools)
    profile = site(name, here)
    asked = {"lsf": "bqueues", "pbs": "qstat", "flux": "flux"}[name]
    assert levels(here, profile, **{asked: says("fine")})[name] == "ok"
    refused = says("", 1, "cannot connect to server")
    assert levels(here, profile, **{asked: refused})[name] == "missing"
    assert levels(here, profile)[name] == "missing"  # it gives no answer at all


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("openmpi", ("mpirun", "ssh")),
        ("mpich", ("mpiexec.hydra", "ssh")),
        ("pdsh", ("pdsh", "ssh")),
    ],
)
def test_what_starts_ranks_from_this_machine_is_looked_for(
    tmp_path: Path, name: str, tools: tuple[str, ...]
) -> None:
    here = commands(tmp_path, "bash", *tools)
    profile = site(name, here)
    found = levels(here, profile)
    assert [found[tool] for tool in tools] == ["ok", "ok"]
    elsewhere = replace(profile, launcher=replace(profile.launcher, command="/opt/mpi/bin/start"))
    assert levels(here, elsewhere)["start"] == "missing"


def test_modules_and_the_engine_are_notes_on_a_login_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    here = commands(tmp_path, *SLURM)
    found = levels(here, site("frontier", here), sinfo=says("batch\n"))
    assert found["engine"] == found["modules"] == "note"
    assert levels(here, site("local", here))["engine"] == "missing"  # the ranks would use it


def test_a_place_that_cannot_be_written_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    here = around(tmp_path)
    assert levels(here, None)["runs"] == "missing"


def test_without_a_known_site_the_rest_is_still_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(None, around(tmp_path), FakeRunner())
    assert "python" in capsys.readouterr().out
