"""A dear submission is agreed to twice; a chain beyond the policy is refused whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from neox.content import shelf
from neox.run.paths import RunPaths
from neox.sites.load import load_site
from neox.submit import cli, edge
from neox.submit.agreeing import DearError, Spending, agreed_twice, check_up_to, whole
from neox.submit.cost import cost_of
from neox.submit.submissions import submissions
from tests.submit.askings import site
from tests.submit.runs import CONFIG

SPENT = Spending(site="frontier", hours=4607.2, limit=1000, cost="4,607 node-hours")
MINE = """\
schema  = 1
extends = "slurm"
title   = "mine"
[policy]
max_chain = 3
confirm_node_hours = 10
"""
TYPED = ("--site", "mine", "--name", "run", "tiny.yml", "--nodes", "2")
CHEAP, DEAR = ("--time", "4:00:00"), ("--time", "6:00:00")  # 8 and 12 node-hours


def says(*answers: str) -> Callable[[str], str]:
    left = list(answers)
    return lambda question: left.pop(0)


@pytest.mark.parametrize(
    ("typed", "agreed"),
    [
        ("4608", True),
        ("4,608 ", True),
        ("y", False),
        ("", False),
        ("4607", False),
        ("46080", False),
    ],
)
def test_the_second_yes_is_the_number(typed: str, agreed: bool) -> None:
    assert agreed_twice(SPENT, None, says(typed)) is agreed


def test_nobody_is_asked_about_what_is_cheap_or_was_agreed_to() -> None:
    assert agreed_twice(SPENT, 4608, says())
    cheap = Spending(site="frontier", hours=1000, limit=1000, cost="1,000 node-hours")
    assert agreed_twice(cheap, None, says())
    check_up_to(cheap, None, asks=False)
    check_up_to(SPENT, None, asks=True)
    for up_to in (None, 4607.0):
        with pytest.raises(DearError, match="--up-to 4608"):
            check_up_to(SPENT, up_to, asks=False)
    assert whole(4607.0) == "4607"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site with a policy of its own, and an sbatch that counts."""
    (tmp_path / "tiny.yml").write_text(CONFIG)
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "mine.toml").write_text(MINE)
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\necho x >>{tmp_path}/count\nwc -l <{tmp_path}/count\n")
    sbatch.chmod(0o755)
    squeue = tmp_path / "bin" / "squeue"
    squeue.write_text('#!/bin/sh\nfor i in 1 2 3 4; do echo "$i|PENDING|Priority"; done\n')
    squeue.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    return tmp_path


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A person who types these; returns what was asked."""
    left, asked = list(answers), []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    def typed(question: str) -> str:
        asked.append(question)
        return left.pop(0)

    monkeypatch.setattr("builtins.input", typed)
    assert edge.look_around().interactive
    return asked


def submitted(folder: Path) -> int:
    count = folder / "count"
    return len(count.read_text().split()) if count.exists() else 0


def test_yes_alone_does_not_spend_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TYPED, *DEAR, "--yes"]) == 4
    said = capsys.readouterr().err
    assert "12 node-hours on mine: above 10 (policy.confirm_node_hours)" in said
    assert "--up-to 12" in said and not (folder / "runs").exists() and not submitted(folder)
    assert cli.main([*TYPED, *DEAR, "--yes", "--up-to", "11"]) == 4
    assert cli.main([*TYPED, *DEAR, "--yes", "--up-to", "12"]) == 0
    assert submitted(folder) == 1


def test_what_is_cheap_needs_yes_alone(folder: Path) -> None:
    assert cli.main([*TYPED, *CHEAP, "--yes"]) == 0
    assert submitted(folder) == 1


@pytest.mark.parametrize(
    ("words", "answers", "count"),
    [
        ((), ("y", "12"), 1),
        ((), ("y", "no"), 0),
        ((), ("n",), 0),
        (("--yes",), ("12",), 1),  # typed by habit: the second question stands
        (("--yes",), ("",), 0),
        (("--up-to", "12"), ("y",), 1),
    ],
)
def test_a_person_is_asked_twice(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    answers: tuple[str, ...],
    count: int,
) -> None:
    asked = at_a_terminal(monkeypatch, *answers)
    assert cli.main([*TYPED, *DEAR, *words]) == 0
    assert submitted(folder) == count and len(asked) == len(answers)
    assert ("Type 12 to spend them" in asked[-1]) is (answers[-1] != "n" and "--up-to" not in words)


def test_a_chain_a_sweep_and_a_later_submission_count_as_a_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*TYPED, *CHEAP, "--chain", "2", "--yes"]) == 4
    assert "16 node-hours" in capsys.readouterr().err
    axes = ("--sweep", "seed=1,2")
    assert cli.main([*TYPED, *CHEAP, *axes, "--yes"]) == 4
    assert "16 node-hours" in capsys.readouterr().err and not (folder / "runs").exists()
    assert cli.main([*TYPED, *CHEAP, *axes]) == 0  # written, not submitted
    assert cli.main(["submit", "run"]) == 4
    assert submitted(folder) == 0
    assert cli.main(["submit", "run", "--up-to", "16"]) == 0
    assert submitted(folder) == 2


def test_a_longer_chain_than_the_policy_is_refused_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("--time", "0:30:00")
    assert cli.main([*TYPED, *short, "--chain", "4", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "--chain 4: mine allows 3 links (policy.max_chain); use --chain 3" in said
    assert submitted(folder) == 0
    assert cli.main([*TYPED, *short, "--chain", "3", "--yes"]) == 0
    assert submitted(folder) == 3
    assert cli.main(["chain", "run"]) == 4
    assert "4 links would wait or run, and mine allows 3" in capsys.readouterr().err
    assert len(submissions(RunPaths(folder / "runs" / "run"))) == 3


def test_every_site_says_what_it_charges_or_asks() -> None:
    for entry in shelf("sites", environ={}, cwd=Path("/nowhere")).entries():
        profile = load_site(entry.name, shelf("sites", environ={}, cwd=Path("/nowhere")))
        generic = not profile.identify.env and not profile.identify.hostname
        fact = profile.fact("cost")
        assert generic or fact is not None, entry.name
        assert not fact or fact.kind != "unknown" or fact.question, entry.name


@pytest.mark.parametrize(
    ("where", "nodes", "hours", "amount", "unit"),
    [
        # the centre's formula by hand, not ours
        ("frontier", 92, 6, 92 * 6, "node-hours"),
        ("summit", 46, 6, 46 * 6, "node-hours"),
        ("lumi", 10, 4, 10 * 4 * 4, "GPU-hours"),  # one MI250X for an hour; four in a node
        ("leonardo", 4, 2, 4 * 2 * 32, "core-hours"),
        ("vista", 8, 10, 8 * 10 * 1, "SU"),
        ("clariden", 8, 2, 8 * 2, "node-hours"),
    ],
)
def test_the_centres_own_formula(
    where: str, nodes: int, hours: int, amount: int, unit: str
) -> None:
    cost = cost_of(site(where).cost, nodes, hours * 3600)
    assert (cost.amount, cost.unit) == (amount, unit)
