"""A node looks at itself: real processes on the CPU, and the rules for a GPU that is not there."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neox.run import preflight
from neox.run.paths import RunPaths
from neox.run.preflight import (
    NodeProblem,
    check_gpu_count,
    check_gpu_memory,
    expectations,
)
from neox.submit.run_files import files_of
from tests.submit.runs import prepared


def link_of(folder: Path, *words: str) -> RunPaths:
    """A run directory with one link, as it is frozen for a job."""
    made = prepared(folder, *words)
    link = made.plan.run.link(1)
    link.root.mkdir(parents=True)
    for name, file in files_of(made, 1).items():
        (link.root / name).write_text(file.text)
    return link


def look(link: RunPaths, local_ranks: tuple[int, ...], *flags: str) -> list[tuple[int, str]]:
    """`neox preflight` in these of a node's two ranks: code and output of each."""
    argv = [sys.executable, "-m", "neox.run.cli", "preflight", str(link.run_config), *flags]
    environ = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    environ |= {"MASTER_PORT": "29871", "NEOX_JOB_ID": "7", "NEOX_NODE": "n1"}
    environ |= {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            argv,
            env={**environ, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in local_ranks
    ]
    return [(p.returncode, said) for p in started for said, _ in [p.communicate(timeout=90)]]


@pytest.mark.slow
def test_a_sound_node_leaves_its_name_and_all_ranks_meet(tmp_path: Path) -> None:
    link = link_of(tmp_path, "num_gpus=2")
    run = RunPaths(link.root.parent.parent)
    ended = look(link, (0, 1))
    assert [code for code, _ in ended] == [0, 0], ended
    assert "recv" not in ended[1][1]  # the store that rank 0 keeps outlives the last answer
    assert (run.preflight("7.ranks") / "n1").read_text() == "2 ranks on CPUs\n"
    assert "n1: 2 ranks on CPUs" in ended[0][1]
    assert "an all-reduce of 4 MB over 2 ranks" in ended[0][1]


@pytest.mark.slow
def test_a_full_disk_is_told_in_a_file_and_by_no_code(tmp_path: Path) -> None:
    link = link_of(tmp_path, "num_gpus=2")
    run = RunPaths(link.root.parent.parent)
    (run.root / "checkpoints").write_text("a file in the way")
    ended = look(link, (0, 1), "--node")
    assert [code for code, _ in ended] == [0, 0]
    assert not (run.preflight("7") / "n1").exists()
    why = (run.preflight("7") / "n1.why").read_text()
    assert why == f"{run.root}/checkpoints cannot be written: File exists\n"
    assert f"preflight: n1 is not fit: {run.root}/checkpoints" in ended[0][1]


def test_a_mistake_of_ours_is_no_word_about_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every node would make it: they give no answer, and job.sh starts the ranks all the same."""

    def broken(*_: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr(preflight, "look", broken)
    monkeypatch.setattr(signal, "alarm", lambda _: None)
    monkeypatch.setenv("NEOX_JOB_ID", "7")
    monkeypatch.setenv("NEOX_NODE", "n1")
    link = link_of(tmp_path)
    assert preflight.main([str(link.run_config), "--node"]) == 0
    assert "TypeError: ours" in capsys.readouterr().err
    folder = RunPaths(link.root.parent.parent).preflight("7")
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == []


def test_what_a_rank_of_a_site_should_see(tmp_path: Path) -> None:
    words = ("--site", "frontier", "--account", "abc123", "-o", "runs", "num_gpus=8")
    expected = expectations(link_of(tmp_path, *words), 8)
    assert (expected.gpus, expected.gpu_memory_gb) == (1, 64)
    assert expected.checkpoint_bytes > 1000
    shutil.rmtree(tmp_path / "runs")
    words = ("--site", "perlmutter", "--account", "m1_g", "-o", "runs", "num_gpus=4")
    assert expectations(link_of(tmp_path, *words), 4).gpus == 4


def test_gpus_are_counted_and_measured() -> None:
    check_gpu_count(8, 8)
    check_gpu_memory(63 * 10**9, 68 * 10**9, 64, "GPU of local rank 0")
    with pytest.raises(NodeProblem, match="sees 7 GPUs, and 8 were planned"):
        check_gpu_count(7, 8)
    with pytest.raises(NodeProblem, match="has 40 GB, and 80 were planned"):
        check_gpu_memory(40 * 10**9, 40 * 10**9, 80, "GPU")
    with pytest.raises(NodeProblem, match="40 of 80 GB of the GPU are taken by others"):
        check_gpu_memory(40 * 10**9, 80 * 10**9, 80, "GPU")
