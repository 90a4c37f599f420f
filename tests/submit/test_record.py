import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.sites.profile import Profile
from neox.submit.codec import CodecError, decode, encode
from neox.submit.manifest import Manifest, digest, read_manifest
from neox.submit.record import edited_files, next_link, write_run
from neox.submit.refusal import RunDirectoryError
from neox.submit.render import render
from neox.submit.request import Request
from neox.submit.run_files import prepare_again
from neox.submit.submissions import Submission, record, submissions
from tests.submit.runs import CONFIG, prepared, written


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def submission(link: int, job_id: str = "7") -> Submission:
    return Submission(
        link=link,
        job_id=job_id,
        after=None,
        argv=("sbatch", "job.sh"),
        time="2026-01-01T00:00:00Z",
        user="me",
        hostname="login1",
    )


def test_the_run_directory_is_private_and_complete(tmp_path: Path) -> None:
    before = os.umask(0)  # the most open one
    try:
        run = written(tmp_path)
    finally:
        os.umask(before)
    assert {path.name for path in run.root.iterdir()} == {
        "job.sh",
        "rank.sh",
        "run.yml",
        "plan.json",
        "review.html",
        "logs",
        "state",
        "checkpoints",
        "links",
    }
    assert mode(run.root) == mode(run.job_script) == mode(run.rank_script) == 0o700
    assert mode(run.plan) == mode(run.run_config) == mode(run.review_page) == 0o600
    assert [path.name for path in run.root.parent.iterdir()] == ["run"]


def test_its_files_alone_render_the_same_bytes_again(tmp_path: Path) -> None:
    run = written(tmp_path, "--nodes", "3", "seed=5", "--launch-arg", "--verbose")
    (tmp_path / "tiny.yml").unlink()  # the config as it was typed is not needed any more
    again = prepare_again(run)
    script = render(again.plan, link=1)
    assert script.job == run.job_script.read_text()
    assert script.rank == run.rank_script.read_text()
    assert read_manifest(run).configs == {str(tmp_path / "tiny.yml"): CONFIG}


def test_every_part_of_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path))
    assert decode(Manifest, json.loads(manifest.text())) == manifest
    assert decode(Profile, encode(manifest.site)) == manifest.site
    assert decode(Request, encode(manifest.request)) == manifest.request


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"link": "one"}, r"\.link: 'one' is not of type int"),
        ({"extra": 1}, "unknown extra"),
        ({"request": {}}, "without "),
    ],
)
def test_a_manifest_that_was_edited_is_named(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    run = written(tmp_path)
    data = json.loads(run.plan.read_text())
    run.plan.write_text(json.dumps(data | change))
    with pytest.raises(RunDirectoryError, match=complaint) as error:
        read_manifest(run)
    assert str(run.plan) in str(error.value)


def test_numbers_and_words_are_not_taken_for_each_other() -> None:
    with pytest.raises(CodecError, match="True is not a whole number"):
        decode(Submission, encode(submission(1)) | {"link": True})  # type: ignore[operator]


def test_an_existing_name_is_refused_continued_or_left_alone(tmp_path: Path) -> None:
    run = written(tmp_path)
    before = run.plan.read_text()
    with pytest.raises(RunDirectoryError, match=r"--continue.*--fresh"):
        write_run(prepared(tmp_path), "refuse")
    fresh = write_run(prepared(tmp_path), "fresh")
    assert fresh.prepared.plan.run.name == "run-2"
    assert f"run={fresh.prepared.plan.run.root}" in fresh.prepared.plan.run.job_script.read_text()
    assert run.plan.read_text() == before
    record(run, submission(1))
    again = write_run(prepared(tmp_path, "optimizer.params.lr=0.002"), "continue")
    assert again.link == 2
    assert "links/2" in run.job_script.read_text()
    assert read_manifest(run).link == 2


def test_a_run_goes_on_with_its_own_model_and_data_only(tmp_path: Path) -> None:
    run = written(tmp_path)
    before = {path.name: path.read_bytes() for path in run.root.glob("*.*")}
    with pytest.raises(RunDirectoryError, match="num_layers: 2 -> 3"):
        write_run(prepared(tmp_path, "num_layers=3"), "continue")
    with pytest.raises(RunDirectoryError, match=r"data_path: .*other"):
        write_run(prepared(tmp_path, "data_path=other"), "continue")
    with pytest.raises(RunDirectoryError, match="nothing to continue"):
        write_run(prepared(tmp_path, "--name", "another"), "continue")
    assert {path.name: path.read_bytes() for path in run.root.glob("*.*")} == before


def test_link_numbers_only_grow(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert next_link(run) == 1
    record(run, submission(3))
    assert next_link(run) == 4
    run.link(6).root.mkdir()  # being submitted just now
    assert next_link(run) == 7


def test_a_submission_cut_off_by_a_crash_does_not_count(tmp_path: Path) -> None:
    run = written(tmp_path)
    record(run, submission(1, "11"))
    record(run, submission(2, "12"))
    whole = run.submissions.read_bytes()
    run.submissions.write_bytes(whole + b'{"link": 3, "jo')
    assert [s.job_id for s in submissions(run)] == ["11", "12"]
    assert mode(run.submissions) == 0o600


def test_an_edited_file_is_noticed(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert edited_files(run) == ()
    run.rank_script.write_text(run.rank_script.read_text() + "# mine\n")
    assert edited_files(run) == ("rank.sh",)
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        while True:
            with ballast.open("ab") as file:
                file.write(b"x" * 4096)
    ballast.write_bytes(ballast.read_bytes()[:-8192])  # two pages are left: room for a start
    with pytest.raises(RunDirectoryError, match=r"No space left on device.*-o DIR") as error:
        write_run(prepared(tmp_path, "-o", str(small_disk / "runs")), "refuse")
    assert len(str(error.value).splitlines()) == 1
    assert list((small_disk / "runs").iterdir()) == []


def test_a_full_disk_leaves_a_continued_run_as_it_was(tmp_path: Path, small_disk: Path) -> None:
    run = written(tmp_path, "-o", str(small_disk))
    before = {path: path.read_bytes() for path in run.root.glob("*.*")}
    with pytest.raises(OSError, match="No space"):
        while True:
            with (small_disk / "ballast").open("ab") as file:
                file.write(b"x" * 4096)
    with pytest.raises(RunDirectoryError, match="No space left on device"):
        write_run(prepared(tmp_path, "-o", str(small_disk), "weight_decay=0.2"), "continue")
    assert {path: path.read_bytes() for path in run.root.iterdir() if path.is_file()} == before


def test_a_place_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(RunDirectoryError, match="a file is in the way") as error:
        write_run(prepared(tmp_path), "refuse")
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system mounted read-only: root writes through permissions, but not through this."""
    if os.getuid() != 0:
        folder = tmp_path / "ro"
        folder.mkdir(mode=0o555)
        yield folder
        return
    disk = tmp_path / "ro"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted read-only here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_place_is_refused_in_one_line(tmp_path: Path, read_only: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"cannot be written: .*-o DIR") as error:
        write_run(prepared(tmp_path, "-o", str(read_only / "runs")), "refuse")
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        read_manifest(RunPaths(tmp_path))
