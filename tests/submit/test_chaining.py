"""Links planned from what is left to train, by the run's own log where it has one."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neox.sites.profile import Bin, Queue
from neox.submit import cli
from neox.submit.chaining import Work, alternative, alternatives, best_time, longest
from neox.submit.walltime import Pace, lead, startup
from tests.submit.runs import CONFIG

WORKS = st.builds(
    Work,
    steps=st.integers(1, 100_000),
    pace=st.builds(Pace, step_seconds=st.floats(0.01, 300), save_seconds=st.floats(0, 600)),
    save_every=st.one_of(st.none(), st.integers(1, 5000)),
)


@given(WORKS, st.integers(1, 4096), st.integers(600, 48 * 3600))
def test_links_hold_the_work_and_one_less_would_not(work: Work, nodes: int, seconds: int) -> None:
    made = alternative(work, nodes, seconds)
    useful = seconds - lead(seconds, work.pace) - startup(nodes)
    if made is None:
        assert useful < max(1.0, work.pace.step_seconds)
        return
    assert made.links * useful >= work.seconds * (1 - 1e-9)
    assert made.links == 1 or (made.links - 1) * useful < work.seconds
    assert made.node_hours * 3600 >= nodes * work.seconds


@given(WORKS, st.integers(1, 4096), st.integers(3600, 48 * 3600))
def test_the_best_time_takes_one_link_where_one_is_enough(
    work: Work, nodes: int, limit: int
) -> None:
    seconds = best_time(work, nodes, limit)
    assert seconds <= limit
    made, widest = alternative(work, nodes, seconds), alternative(work, nodes, limit)
    if made is not None and widest is not None:
        assert made.links <= widest.links or math.isclose(seconds, limit, abs_tol=300)


def test_each_bin_of_a_queue_has_its_own_time() -> None:
    queue = Queue(
        name="batch", bins=(Bin(low=1, high=9, seconds=7200), Bin(low=10, high=99, seconds=21600))
    )
    assert (longest(queue, 9), longest(queue, 10), longest(queue, 100)) == (7200, 21600, None)
    work = Work(steps=1000, pace=Pace(step_seconds=100), save_every=None)
    found = alternatives(((4, work), (16, work), (200, work)), queue, ())
    assert [(a.nodes, a.seconds) for a in found] == [(4, 7200), (16, 21600)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


AUTO = ("--site", "slurm", "tiny.yml", "--chain", "auto", "--time", "1:00:00")


def test_a_given_step_time_decides(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*AUTO, "train_iters=1000", "--seconds-per-step", "20", "--dry-run"]) == 0
    page = capsys.readouterr().out
    # 20,000 s of work; an hour holds 3600 - 300 - 10
    assert "1,000 steps left x 20 s on 1 node (--seconds-per-step)" in page
    assert "7 links, each after the one before it" in page
    assert "<- this plan" in page


def test_a_run_that_goes_on_is_planned_by_its_own_log(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ("train_iters=1000",)
    assert cli.main(["--site", "slurm", "tiny.yml", *steps, "--json"]) == 0
    run = folder / "runs" / "tiny"
    cut = json.loads(capsys.readouterr().out)["plan"]["geometry"]
    tokens = cut["micro_batch"] * cut["accumulation"] * cut["data"]
    length = int(CONFIG.partition("seq_length: ")[2].split()[0].rstrip(","))
    event = {"event": "step", "step": 400, "tokens_per_second": tokens * length / 30}
    (run / "state" / "events.jsonl").write_text(json.dumps(event) + "\n")
    (run / "checkpoints" / "step-00000400").mkdir(parents=True)
    (run / "checkpoints" / ".step-00000900.x.tmp").mkdir()
    assert cli.main([*AUTO, *steps, "--continue", "--dry-run"]) == 0
    page = capsys.readouterr().out
    assert "600 steps left x 30 s on 1 node (measured in this run)" in page
    assert "6 links, each after the one before it" in page
    # a new run of the name does not count what the old one trained
    assert cli.main([*AUTO, *steps, "--seconds-per-step", "30", "--fresh", "--dry-run"]) == 0
    assert "1,000 steps left" in capsys.readouterr().out


def test_what_cannot_be_planned_says_what_to_type(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*AUTO, "--dry-run"]) == 2
    assert "give --seconds-per-step SECONDS" in capsys.readouterr().err
    assert cli.main(["--site", "slurm", "tiny.yml", "--seconds-per-step", "3", "--dry-run"]) == 2
    assert "give both" in capsys.readouterr().err
    for wrong in ("0", "-1", "nan", "inf", "fast"):
        assert cli.main([*AUTO, f"--seconds-per-step={wrong}", "--dry-run"]) == 2
        assert "number of seconds above 0" in capsys.readouterr().err


def test_beyond_the_sites_longest_chain_it_refuses(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sites").mkdir()
    (folder / "sites" / "mine.toml").write_text(
        'schema = 1\nextends = "slurm"\ntitle = "mine"\n[policy]\nmax_chain = 4\n'
    )
    words = ("--site", "mine", "tiny.yml", "--chain", "auto", "--time", "1:00:00", "--dry-run")
    assert cli.main([*words, "train_iters=1000", "--seconds-per-step", "20"]) == 2
    said = capsys.readouterr().err
    assert "7 links of 1:00:00" in said
    assert "policy.max_chain" in said
    assert cli.main([*words, "train_iters=500", "--seconds-per-step", "20"]) == 0
