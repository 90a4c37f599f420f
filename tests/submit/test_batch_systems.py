"""From `neox-submit` to the end of a chain, through the commands of PBS and Flux as played here."""

import json
import os
from pathlib import Path

import pytest

from neox.submit import cli
from tests.submit.batch_systems import install
from tests.submit.runs import CONFIG
from tests.submit.stand_ins import Machine, until

KINDS = ("pbs", "flux")


@pytest.fixture(name="desk")
def _desk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder on such a machine; ranks and launchers are played, too."""
    programs = install(machine.folder)
    for name in [name for name in os.environ if name.startswith(("SLURM", "PBS", "FLUX"))]:
        monkeypatch.delenv(name)
    for name, value in machine.environ.items():
        if not name.startswith(("SLURM", "LSB", "PBS")):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{programs}:{machine.environ['PATH']}")
    monkeypatch.setenv("FAKE_QUEUE", str(machine.folder / "queue"))
    monkeypatch.setenv("FAKE_RUN", str(machine.folder / "runs" / "run"))
    monkeypatch.setenv("FAKE_NO_END", "1")
    monkeypatch.setenv("FAKE_SIZE", "1")
    monkeypatch.chdir(machine.folder)
    (machine.folder / "tiny.yml").write_text(CONFIG)
    return machine.folder


def submitted(kind: str, desk: Path, *words: str) -> None:
    python = str(desk / "bin" / "python")
    typed = ["--site", kind, "--name", "run", "--python", python, "--yes", *words, "tiny.yml"]
    assert cli.main(typed) == 0


def links(desk: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    assert cli.main(["status", "run", "--json"]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["runs"][0]["links"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_runs_to_its_end(
    desk: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_END", "saved")
    go = desk / "go"
    monkeypatch.setenv("FAKE_START", str(go))
    submitted(kind, desk, "--chain", "2")
    assert "submitted link 2 as job 102, after job 101" in capsys.readouterr().out
    first, second = links(desk, capsys)
    assert (second["state"], second["reason"]) == ("pending", "waits for the job before it")
    assert first["state"] in ("pending", "running")
    go.touch()

    def over() -> bool:
        return all(link["state"] == "ended" for link in links(desk, capsys))

    until(over, "the chain does not end", 40)
    reasons = [link["reason"] for link in links(desk, capsys)]
    assert reasons == ["ended with exit code 85"] * 2
    for job in ("101", "102"):
        assert (desk / "runs/run/state" / f"saved.{job}").exists()
    if kind == "pbs":  # Flux itself would write what the header names
        assert "hello from the entry" in (desk / "runs/run/logs/102.out").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_ends_the_last_link_first(
    desk: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_END", "stop")
    submitted(kind, desk, "--chain", "2")
    step = desk / "runs/run/state/phase.step.0"
    until(step.exists, "the rank does not start", 20)
    capsys.readouterr()
    assert cli.main(["cancel", "run"]) == 0
    assert "cancelled job 102, job 101" in capsys.readouterr().out

    def over() -> bool:
        return all(link["state"] == "ended" for link in links(desk, capsys))

    until(over, "the jobs do not end", 30)
    assert not (desk / "runs/run/state/owner").exists()
    step.unlink()
    assert cli.main(["submit", "run", "--chain", "1"]) == 0  # and it can be taken up again
    until(step.exists, "the rank does not start", 20)
    assert cli.main(["stop", "run"]) == 0
    until(over, "the job does not end", 30)
    assert links(desk, capsys)[-1]["reason"] == "ended with exit code 85"


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_the_scheduler_has_forgotten(
    desk: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_END", "done")
    submitted(kind, desk)
    until((desk / "queue/101/code").exists, "the job does not end", 30)
    (desk / "queue/101").rename(desk / "forgotten")
    (link,) = links(desk, capsys)
    assert link["state"] == "ended"
    assert link["reason"].startswith("the scheduler no longer knows it")
