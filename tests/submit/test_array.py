"""A sweep as one array of jobs: one submission, each element its own reviewed run."""

import json
import subprocess
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit import cli
from neox.submit.array import array_script
from neox.submit.progress import link_codes
from neox.submit.refusal import UsageError
from neox.submit.schedulers.slurm import Slurm
from neox.submit.submissions import submissions
from neox.submit.sweep import runs_in
from tests.submit.fake_runner import FakeRunner, says
from tests.submit.runs import CONFIG, prepared

SWEEP = ("--site", "slurm", "tiny.yml", "--name", "lrs", "--sweep", "optimizer.params.lr=0.1,0.01")
SEEDS = ("--sweep", "seed=1,2,10")
NAMES = [f"lr={lr}+seed={seed}" for lr in ("0.01", "0.1") for seed in (1, 2, 10)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login node whose sbatch notes its words."""
    (tmp_path / "tiny.yml").write_text(CONFIG)
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\necho 70\n')
    sbatch.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("NEOX_DEBUG", raising=False)
    return tmp_path


def asked(folder: Path) -> list[str]:
    file = folder / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_one_submission_for_all_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SWEEP, *SEEDS, "--array", "--yes"]) == 0
    sweep = folder / "runs" / "lrs"
    assert asked(folder) == [f"--parsable --array=1-6 {sweep}/array.sh"]
    runs = runs_in(sweep)
    assert [run.name for run in runs] == NAMES
    assert [submissions(run)[0].job_id for run in runs] == [f"70_{n}" for n in range(1, 7)]
    assert f"{NAMES[5]}: submitted link 1 as job 70_6" in capsys.readouterr().out
    for run in runs:
        assert run.review_page.exists() and (run.link(1).root / "job.sh").exists()


def test_the_script_becomes_the_runs_own(folder: Path) -> None:
    assert cli.main([*SWEEP, *SEEDS, "--array", "--yes"]) == 0
    script = folder / "runs" / "lrs" / "array.sh"
    text = script.read_text()
    header = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --job-name=lrs" in header
    assert f"#SBATCH --output={script.parent}/array.%A.out" in header
    own = (script.parent / NAMES[0] / "job.sh").read_text().splitlines()
    differing = set(header) ^ {line for line in own if line.startswith("#SBATCH")}
    assert {line.split("=")[0].split()[1] for line in differing} == {"--job-name", "--output"}
    for index, name in enumerate(NAMES, 1):
        job = script.parent / name / "links" / "1" / "job.sh"
        job.write_text('echo "$0 as $$"\n')
        done = subprocess.run(
            ["bash", str(script)],
            env={"SLURM_ARRAY_TASK_ID": str(index), "SLURM_ARRAY_JOB_ID": "70", "PATH": "/bin"},
            capture_output=True,
            check=True,
        )
        assert not done.stdout + done.stderr
        log = RunPaths(job.parents[2]).job_log(f"70_{index}")
        assert log.read_text().startswith(f"{job} as ")
    answer = subprocess.run(
        ["bash", str(script)], env={"SLURM_ARRAY_TASK_ID": "7"}, capture_output=True, check=False
    )
    assert answer.returncode == 4 and b"there is no run number 7" in answer.stderr


def test_shellcheck_and_shfmt_find_nothing(folder: Path) -> None:
    assert cli.main([*SWEEP, *SEEDS, "--array"]) == 0
    script = str(folder / "runs" / "lrs" / "array.sh")
    for words in (("shellcheck", script), ("shfmt", "-i", "2", "-d", script)):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_what_was_written_and_reviewed_is_submitted_as_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SWEEP, "--array"]) == 0
    assert "lrs/array.sh, one submission for all" in capsys.readouterr().out
    assert not asked(folder)
    assert cli.main(["submit", "lrs", "--chain", "2"]) == 4
    assert cli.main(["submit", "lrs"]) == 0
    assert (
        len(asked(folder)) == 1
        and "lr=0.1: submitted link 1 as job 70_2" in capsys.readouterr().out
    )
    assert cli.main(["submit", "lrs"]) == 0  # each has its job
    assert len(asked(folder)) == 1


def test_an_edited_array_or_run_is_not_submitted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SWEEP, "--array"]) == 0
    sweep = folder / "runs" / "lrs"
    text = (sweep / "array.sh").read_text()
    (sweep / "array.sh").write_text(f"{text}# mine\n")
    assert cli.main(["submit", "lrs"]) == 4
    assert "array.sh: changed since" in capsys.readouterr().err
    (sweep / "array.sh").write_text(text)
    (sweep / "lr=0.1" / "job.sh").write_text("#!/bin/bash\n")
    assert cli.main(["submit", "lrs"]) == 4
    assert "job.sh changed" in capsys.readouterr().err
    assert not asked(folder)


def test_a_refusal_leaves_nothing_submitted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bin" / "sbatch").write_text("#!/bin/sh\necho no such account >&2\nexit 1\n")
    assert cli.main([*SWEEP, "--array", "--yes"]) == 4
    assert "no such account; nothing was submitted" in capsys.readouterr().err
    for run in runs_in(folder / "runs" / "lrs"):
        assert not submissions(run) and not list((run.root / "links").iterdir())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--chain", "2"), "an element of an array is one link"),
        (("--site", "local"), "local (local) is given each run as a job of its own"),
    ],
)
def test_what_an_array_cannot_be(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    assert cli.main([*SWEEP, "--array", "--yes", *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_an_array_is_of_a_sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SWEEP[:5], "--array"]) == 2
    assert "--array is for the runs of --sweep" in capsys.readouterr().err


def test_runs_that_ask_for_different_things_are_no_array(folder: Path) -> None:
    one = prepared(folder).plan
    longer = prepared(folder, "--time", "0:30:00").plan
    with pytest.raises(UsageError, match=r"\(--time=0:30:00, --time=.*leave --array out"):
        array_script(folder, [one, longer])


def test_elements_are_asked_for_and_read_one_by_one() -> None:
    dialect = Slurm()
    ids = ("70_1", "70_2", "71")
    assert "--array" in dialect.status_argv(ids) and "--array" not in dialect.status_argv(("71",))
    asked = FakeRunner(
        {"squeue": says("70_1|RUNNING|None\n70_2|PENDING|Priority\n70_[3-9]|PENDING|x\n")}
    )
    answer = asked.run(dialect.status_argv(ids))
    states = {status.id: status.state for status in dialect.parse_status(answer.stdout)}
    assert states == {"70_1": "running", "70_2": "pending"}
    history = dialect.history_argv(ids)
    assert history is not None and "--format=JobID,State,Reason" in history
    (ended,) = dialect.parse_status("70_1|COMPLETED|None\n")
    assert (ended.id, ended.state) == ("70_1", "ended")


def test_an_elements_code_is_found_by_its_link(tmp_path: Path) -> None:
    """Inside, an element is a job with a number of its own."""
    run = RunPaths(tmp_path)
    run.state.mkdir()
    run.links_log.write_text(json.dumps({"link": 1, "job": "4711", "code": 85}) + "\n")
    assert link_codes(run) == {1: 85}
