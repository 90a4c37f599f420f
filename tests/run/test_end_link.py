"""The code that a job ends with, from the files that its ranks left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from neox.run.end_link import end_link, newest_checkpoint, read_links
from neox.run.paths import RunPaths


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    run = RunPaths(tmp_path / "run")
    run.state.mkdir(parents=True)
    return run


def checkpoint(paths: RunPaths, step: int) -> None:
    (paths.checkpoints / f"step-{step:08d}").mkdir(parents=True)


def fail(paths: RunPaths, job: str, code: int) -> None:
    text = json.dumps({"code": code, "rank": 3, "reason": "as told"})
    paths.failed(job).write_text(text)


def test_done_is_zero_whatever_the_launcher_says(paths: RunPaths) -> None:
    paths.done.write_text("")
    assert end_link(paths, link=1, job_id="7", launcher=1) == 0
    assert not paths.halt.exists()


def test_saved_and_not_finished_is_85(paths: RunPaths) -> None:
    paths.saved("7").write_text("")
    checkpoint(paths, 10)
    assert end_link(paths, link=1, job_id="7", launcher=0) == 85
    (end,) = read_links(paths.links_log)
    assert (end.checkpoint, end.moved, end.job) == (10, True, "7")
    assert not paths.halt.exists()


def test_saved_by_another_job_does_not_count(paths: RunPaths) -> None:
    paths.saved("6").write_text("")
    assert end_link(paths, link=1, job_id="7", launcher=0) == 1


@pytest.mark.parametrize("code", [2, 3, 4, 16, 17])
def test_what_a_next_link_cannot_mend_halts_at_once(paths: RunPaths, code: int) -> None:
    fail(paths, "7", code)
    checkpoint(paths, 10)  # progress does not help
    assert end_link(paths, link=1, job_id="7", launcher=143) == code
    assert "as told" in paths.halt.read_text()


@pytest.mark.parametrize("launcher", [137, 143, 255])
def test_a_launcher_killed_without_a_word_may_be_the_machine(
    paths: RunPaths, launcher: int
) -> None:
    assert end_link(paths, link=1, job_id="7", launcher=launcher) == 75
    assert not paths.halt.exists(), "one link may fail"


def test_two_links_in_a_row_without_a_new_checkpoint_halt(paths: RunPaths) -> None:
    checkpoint(paths, 10)
    end_link(paths, link=1, job_id="7", launcher=137)  # moved: from none to 10
    end_link(paths, link=2, job_id="8", launcher=137)
    assert not paths.halt.exists()
    end_link(paths, link=3, job_id="9", launcher=137)
    assert "moved no checkpoint" in paths.halt.read_text()


def test_a_new_checkpoint_between_starts_the_count_again(paths: RunPaths) -> None:
    end_link(paths, link=1, job_id="7", launcher=137)
    checkpoint(paths, 10)
    end_link(paths, link=2, job_id="8", launcher=137)
    end_link(paths, link=3, job_id="9", launcher=137)
    assert not paths.halt.exists()


def test_who_submits_a_halted_run_again_gets_two_links_again(paths: RunPaths) -> None:
    for link in (1, 2):
        end_link(paths, link=link, job_id=f"{link}", launcher=137)
    paths.halt.unlink()  # neox-submit submit does this
    end_link(paths, link=3, job_id="3", launcher=137)
    assert not paths.halt.exists()
    end_link(paths, link=4, job_id="4", launcher=137)
    assert paths.halt.exists()


def test_a_failure_file_that_was_cut_short_is_a_bug(paths: RunPaths) -> None:
    paths.failed("7").write_text('{"code": 2')
    assert end_link(paths, link=1, job_id="7", launcher=1) == 1


def test_checkpoints_are_looked_for_where_run_yml_saves_them(
    paths: RunPaths, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "else where"
    (elsewhere / "step-00000030").mkdir(parents=True)
    paths.run_config.write_text(f'# save: /no\nsave: "{elsewhere}"  # here\n')
    assert newest_checkpoint(paths) == 30


def test_it_needs_the_standard_library_alone_and_is_quick(paths: RunPaths) -> None:
    paths.saved("7").write_text("")
    words = [str(paths.root), "--link", "1", "--job", "7", "--code", "0"]
    program = (
        "import sys; from neox.run.cli import main; code = main(sys.argv[1:]);"
        "assert not {'torch', 'yaml', 'numpy', 'jinja2'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "end-link", *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 85, done.stderr


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    from neox.run.cli import main

    words = ["end-link", str(tmp_path / "no"), "--link", "1", "--job", "7", "--code", "0"]
    assert main(words) == 4


def test_a_node_that_its_rank_blames_is_noted_once(paths: RunPaths) -> None:
    told = {"code": 75, "rank": 3, "reason": "uncorrectable\nECC error", "node": "n3"}
    for job in ("7", "8"):
        paths.failed(job).write_text(json.dumps(told))
        end_link(paths, link=1, job_id=job, launcher=1)
    assert paths.bad_nodes.read_text() == "n3 uncorrectable ECC error (job 7)\n"


def test_a_bug_blames_no_node(paths: RunPaths) -> None:
    paths.failed("7").write_text(json.dumps({"code": 1, "rank": 3, "reason": "x", "node": "n3"}))
    end_link(paths, link=1, job_id="7", launcher=1)
    assert not paths.bad_nodes.exists()
