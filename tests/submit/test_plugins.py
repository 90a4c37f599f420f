"""Schedulers and launchers from other packages: a real one is installed, and some broken ones."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neox.content import shelf
from neox.plugins import PluginError
from neox.sites.load import load_site
from neox.sites.problems import ProfileErrors
from neox.submit import cli
from neox.submit.doctor import examine
from neox.submit.record import write_run
from neox.submit.run_files import prepare_again
from neox.submit.schedulers import scheduler
from neox.submit.submitting import Submitter, submit
from neox.submit.track import cancel, link_states
from tests.submit.fake_runner import FakeRunner, says
from tests.submit.runs import CONFIG, around, prepared

PACKAGE = Path(__file__).parent / "plugin_package"
MINE = """\
schema  = 1
extends = "slurm"
title   = "a machine with OAR"
status  = "draft"
remove  = ["scheduler.gpus_line", "scheduler.memory_line", "scheduler.whole_node"]
[scheduler]
kind = "{scheduler}"
[launcher]
kind    = "{launcher}"
binding = "none"
master  = "hostname-ip"
[signal]
how = "timer"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has put the package in."""
    place = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, place / "source")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    target = ["--no-build-isolation", "--target", str(place / "site"), str(place / "source")]
    subprocess.run([*pip, *target], check=True, timeout=120)
    return place / "site"


@pytest.fixture(name="folder")
def _folder(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sites").mkdir()
    return tmp_path


def put(folder: Path, scheduler: str = "oar", launcher: str = "oarsh") -> None:
    text = MINE.format(scheduler=scheduler, launcher=launcher)
    (folder / "sites" / "mine.toml").write_text(text)


def test_a_profile_names_a_kind_that_another_package_brings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder)
    run = write_run(prepared(folder, "--site", "mine"), "refuse").prepared.plan.run
    script = run.job_script.read_text()
    assert "#OAR -n run\n#OAR -l nodes=1,walltime=1:00:00\n" in script
    assert "job_id=$OAR_JOB_ID restart=0" in script
    assert "exec oarsh-all 1" in script
    assert "oarstat -s -j" in script
    assert "OAR_RANK" in (run.root / "rank.sh").read_text()
    runner = FakeRunner(
        {
            "oarsub": says("OAR_JOB_ID=77\n"),
            "oarstat": says("77: Running\n"),
            "oardel": says(""),
        }
    )
    submitter = Submitter(runner=runner, around=around(folder))
    (job,) = submit(prepare_again(run), submitter, links=1, accept_edited=False)
    assert job.job_id == "77"
    (link,) = link_states(run, runner, "oar")
    assert (link.state, link.reason) == ("running", "running")
    assert [ended.job_id for ended in cancel(run, runner)] == ["77"]
    assert cli.main(["status", str(run.root)]) == 0  # no oarstat here, and that is said
    assert "oarstat is not on this machine's PATH" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scheduler", "launcher", "said"),
    [
        (
            "gone",
            "oarsh",
            "scheduler 'gone' of neox-oar 1.0 is broken: ModuleNotFoundError: "
            "No module named 'neox_oar.gone'",
        ),
        ("lacking", "oarsh", "scheduler 'lacking' of neox-oar 1.0 is broken: a Lacking without"),
        (
            "oar",
            "falls",
            "launcher 'falls' of neox-oar 1.0 is broken: RuntimeError: "
            "no idea how to start 1 ranks",
        ),
    ],
)
def test_a_broken_one_is_named_with_its_package_and_error(
    folder: Path, scheduler: str, launcher: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, scheduler, launcher)
    (folder / "tiny.yml").write_text(CONFIG)
    assert cli.main(["--site", "mine", "--print", "tiny.yml"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_others_are_not_in_the_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With broken packages installed, every other site plans, and the doctor tells of them."""
    assert prepared(folder, "--site", "slurm").plan.directives
    found = list(examine(None, around(folder), FakeRunner()))
    plugins = [(finding.level, finding.text) for finding in found if finding.what == "plugin"]
    assert ("ok", "scheduler 'oar' of neox-oar 1.0") in plugins
    assert ("ok", "launcher 'oarsh' of neox-oar 1.0") in plugins
    broken = [text for level, text in plugins if level == "note"]
    assert len(broken) == 2
    assert all("is broken" in text and "all others can" in text for text in broken)


def test_a_kind_that_nobody_brings_is_refused_where_it_stands(folder: Path) -> None:
    put(folder, scheduler="ora")
    with pytest.raises(ProfileErrors, match=r"scheduler.kind: 'ora' is not a choice.*oar"):
        load_site("mine", shelf("sites", environ={}, cwd=folder))


def test_two_packages_for_one_kind(folder: Path, installed: Path) -> None:
    other = folder / "more" / "other-2.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[neox.schedulers]\noar = other:Oar\n")
    sys.path.append(str(other.parent))
    try:
        with pytest.raises(PluginError, match=r"brought by .* and .*: remove one of them"):
            scheduler("oar")
    finally:
        sys.path.remove(str(other.parent))
