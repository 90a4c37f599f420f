import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit.logs import newest_log
from neox.submit.processes import process, this_host
from neox.submit.progress import last_lines, progress
from neox.submit.refusal import RunDirectoryError, SchedulerError
from neox.submit.run_files import prepare_again
from neox.submit.status import status_lines
from neox.submit.submissions import Submission, record, submissions
from neox.submit.submitting import Submitter, extend, submit
from neox.submit.track import cancel, link_states, live_jobs, stop
from tests.submit.fake_runner import FakeRunner, says, sbatch
from tests.submit.runs import around, written


def submitted(folder: Path, links: int, *words: str) -> RunPaths:
    run = written(folder, *words)
    runner = FakeRunner({"sbatch": sbatch()})
    submit(
        prepare_again(run),
        Submitter(runner=runner, around=around(folder)),
        links=links,
        accept_edited=False,
    )
    return run


def states(run: RunPaths, **answers: object) -> list[tuple[str, str]]:
    runner = FakeRunner(dict(answers))  # type: ignore[arg-type]
    return [(link.state, link.reason) for link in link_states(run, runner, "slurm")]


def test_links_are_frozen_queued_in_a_row_and_written_down(tmp_path: Path) -> None:
    run = written(tmp_path)
    runner = FakeRunner({"sbatch": sbatch()})
    jobs = submit(
        prepare_again(run),
        Submitter(runner=runner, around=around(tmp_path)),
        links=3,
        accept_edited=False,
    )
    scripts = [str(run.link(n).job_script) for n in (1, 2, 3)]
    assert runner.asked == [
        ("sbatch", "--parsable", scripts[0]),
        ("sbatch", "--parsable", "--dependency=afterany:101", scripts[1]),
        ("sbatch", "--parsable", "--dependency=afterany:102", scripts[2]),
    ]
    assert submissions(run) == jobs
    assert [(job.link, job.job_id, job.after) for job in jobs] == [
        (1, "101", None),
        (2, "102", "101"),
        (3, "103", "102"),
    ]
    assert run.link(1).job_script.read_text() == run.job_script.read_text()
    assert "links/3" in run.link(3).job_script.read_text()
    assert run.link(2).run_config.read_text() == run.run_config.read_text()


def test_a_refused_link_leaves_nothing_and_says_what_was_queued(tmp_path: Path) -> None:
    run = written(tmp_path)
    ids = sbatch()
    calls: list[int] = []

    def full(argv: tuple[str, ...]) -> tuple[int, str, str]:
        calls.append(1)
        return (
            ids(argv) if len(calls) < 2 else (1, "", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
        )

    submitter = Submitter(runner=FakeRunner({"sbatch": full}), around=around(tmp_path))
    with pytest.raises(SchedulerError, match=r"QOSMaxSubmit.*link 1 as job 101.*stays queued"):
        submit(prepare_again(run), submitter, links=3, accept_edited=False)
    assert [job.link for job in submissions(run)] == [1]
    assert not run.link(2).root.exists()


def test_an_edited_script_is_submitted_only_when_that_is_accepted(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.job_script.write_text(run.job_script.read_text().replace("set -u\n", "set -u\necho mine\n"))
    submitter = Submitter(runner=FakeRunner({"sbatch": sbatch()}), around=around(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"job.sh changed.*--accept-edited"):
        submit(prepare_again(run), submitter, links=2, accept_edited=False)
    assert not run.link(1).root.exists()
    submit(prepare_again(run), submitter, links=2, accept_edited=True)
    for number in (1, 2):
        text = run.link(number).job_script.read_text()
        assert "echo mine" in text
        assert f"link=$run/links/{number}" in text


def test_a_live_run_is_not_submitted_again_but_extended(tmp_path: Path) -> None:
    run = submitted(tmp_path, 2)
    runner = FakeRunner(
        {"squeue": says("101|RUNNING|None\n102|PENDING|Dependency\n"), "sbatch": sbatch()}
    )
    submitter = Submitter(runner=runner, around=around(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"job 102.*neox-submit chain"):
        submit(prepare_again(run), submitter, links=1, accept_edited=False)
    (job,) = extend(prepare_again(run), submitter, links=1, accept_edited=False)
    assert (job.link, job.after) == (3, "102")


def test_nothing_is_submitted_while_the_scheduler_does_not_say_what_lives(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    runner = FakeRunner(
        {
            "squeue": says("", 1, "slurm_load_jobs error: Unable to contact"),
            "sacct": says("", 1, "sacct: error: refused"),
            "sbatch": sbatch(),
        }
    )
    submitter = Submitter(runner=runner, around=around(tmp_path))
    with pytest.raises(SchedulerError, match="whether it still lives is not known"):
        submit(prepare_again(run), submitter, links=1, accept_edited=False)
    assert not any(argv[0] == "sbatch" for argv in runner.asked)


def test_states_in_plain_words(tmp_path: Path) -> None:
    run = submitted(tmp_path, 3)
    queue = says("101|RUNNING|None\n102|PENDING|Dependency\n103|WHATEVER|None\n")
    assert states(run, squeue=queue) == [
        ("running", "runs"),
        ("pending", "waits for the job before it"),
        ("unknown", "Slurm says WHATEVER"),
    ]


def test_a_job_the_queue_forgot_is_found_in_the_history(tmp_path: Path) -> None:
    run = submitted(tmp_path, 2)
    history = says("101|TIMEOUT|None\n")
    assert states(run, squeue=says("102|RUNNING|None\n"), sacct=history) == [
        ("ended", "ran into its time limit"),
        ("running", "runs"),
    ]


def test_a_job_nobody_knows_has_ended_and_a_silent_scheduler_is_unknown(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    gone = says("", 1, "slurm_load_jobs error: Invalid job id specified")
    (state,) = states(run, squeue=gone, sacct=says(""))
    assert state == (
        "ended",
        "the scheduler no longer knows it: it ended some time ago, or no queue took it",
    )
    (state,) = states(run)  # no squeue, no sacct
    assert state[0] == "unknown"
    assert "not on this machine's PATH" in state[1]


def test_cancel_halts_first_and_takes_the_last_link_first(tmp_path: Path) -> None:
    run = submitted(tmp_path, 3)
    halted: list[bool] = []

    def scancel(argv: tuple[str, ...]) -> tuple[int, str, str]:
        halted.append(run.halt.exists())
        return 0, "", ""

    queue = says("101|RUNNING|None\n102|PENDING|Dependency\n103|PENDING|Dependency\n")
    runner = FakeRunner({"squeue": queue, "scancel": scancel})
    cancel(run, runner)
    assert [argv for argv in runner.asked if argv[0] == "scancel"] == [
        ("scancel", "103"),
        ("scancel", "102"),
        ("scancel", "101"),
    ]
    assert halted == [True, True, True]


def test_cancel_halts_even_where_the_scheduler_is_not_there(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    with pytest.raises(SchedulerError):
        cancel(run, FakeRunner())
    assert run.halt.exists()


def test_stop_writes_halt_before_stop(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    stop(run)
    assert run.halt.stat().st_mtime_ns <= run.stop.stat().st_mtime_ns
    assert "stop" in run.halt.read_text()
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        stop(RunPaths(tmp_path))


def test_a_halted_run_takes_no_more_links_until_it_is_submitted_again(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    stop(run)
    ended = {"squeue": says("101|COMPLETED|None\n"), "sbatch": sbatch()}
    submitter = Submitter(runner=FakeRunner(ended), around=around(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"halted.*neox-submit submit"):
        extend(prepare_again(run), submitter, links=1, accept_edited=False)
    submit(prepare_again(run), submitter, links=1, accept_edited=False)
    assert not run.halt.exists()
    assert not run.stop.exists()


def test_a_finished_run_is_not_submitted(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.done.write_text("{}")
    submitter = Submitter(runner=FakeRunner({"sbatch": sbatch()}), around=around(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"finished.*--fresh"):
        submit(prepare_again(run), submitter, links=1, accept_edited=False)


def test_status_says_where_the_run_is(tmp_path: Path) -> None:
    run = submitted(tmp_path, 2)
    events = [{"event": "start", "step": 0}, {"event": "step", "step": 7, "loss": 2.5}]
    run.events.write_text("".join(json.dumps(e) + "\n" for e in events) + '{"event": "st')
    run.heartbeat.touch()
    os.utime(run.heartbeat, (time.time() - 300, time.time() - 300))
    run.links_log.write_text('{"link": 1, "job": "101", "code": 85}\n')
    runner = FakeRunner({"squeue": says("101|COMPLETED|None\n102|RUNNING|None\n")})
    text = "\n".join(status_lines(run, runner))
    assert text.startswith("run on slurm: running\n")
    assert "step   7 of 20, loss 2.5000" in text
    assert "last sign of life 5 min ago" in text
    assert "link 1  job 101  ended: ended with 85: saved, and not finished" in text
    assert "link 2  job 102  running: runs" in text
    assert live_jobs(run, runner, "slurm")[0].job_id == "102"


def test_a_run_without_any_file_is_no_error(tmp_path: Path) -> None:
    now = progress(RunPaths(tmp_path / "nowhere"))
    assert (now.step, now.loss, now.heartbeat_seconds, now.ended) == (None, None, None, None)


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("".join(f'{{"step": {i}}}\n' for i in range(20000)) + "not json\n")
    lines = last_lines(path)
    assert lines[-1] == {"step": 19999}
    assert 1000 < len(lines) < 20000


def test_the_newest_log_is_shown(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    assert newest_log(run, None) is None
    for age, name in ((20, "101.out"), (10, "102.out"), (5, "n1.0.log"), (4, "a.b.12.log")):
        path = run.logs / name
        path.write_text(name)
        os.utime(path, (time.time() - age, time.time() - age))
    assert newest_log(run, None) == run.logs / "102.out"
    assert newest_log(run, 12) == run.logs / "a.b.12.log"
    assert newest_log(run, 3) is None


def test_a_job_without_a_scheduler_is_seen_on_its_own_machine_only(tmp_path: Path) -> None:
    run = written(tmp_path)
    with subprocess.Popen(["sleep", "30"]) as child:
        mine = Submission(
            link=1,
            job_id=str(child.pid),
            after=None,
            argv=("bash", "job.sh"),
            time="2026-01-01T00:00:00Z",
            user="me",
            hostname=this_host(),
            process=str(process(child.pid)),
        )
        second = replace(mine, link=2, job_id="2", after=mine.job_id)
        elsewhere = replace(mine, link=3, job_id="3", hostname="another")
        recycled = replace(mine, link=4, job_id="4", process=f"{child.pid}:1")
        for job in (mine, second, elsewhere, recycled):
            record(run, job)
        found = [link.state for link in link_states(run, FakeRunner(), "local")]
        child.kill()
    assert found == ["running", "pending", "unknown", "ended"]
    assert link_states(run, FakeRunner(), "local")[0].state == "ended"


def answers_of_pbs(run: RunPaths, qstat: object) -> list[tuple[str, str]]:
    runner = FakeRunner({"qstat": qstat})  # type: ignore[dict-item]
    return [(link.state, link.reason) for link in link_states(run, runner, "pbs")]


def test_a_history_that_is_switched_off_does_not_keep_a_job_alive(tmp_path: Path) -> None:
    """The queue says what lives; without accounting only the words about the end are missing."""
    run = submitted(tmp_path, 1)
    gone = says("", 1, "slurm_load_jobs error: Invalid job id specified")
    ((state, words),) = states(
        run, squeue=gone, sacct=says("", 1, "Slurm accounting storage is disabled")
    )
    assert state == "ended"
    assert "Slurm accounting storage is disabled" in words


def test_pbs_without_a_history(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)

    def qstat(argv: tuple[str, ...]) -> tuple[int, str, str]:
        if "-x" in argv:
            return 1, "", "qstat: job history is not enabled"
        return 153, "", "qstat: Unknown Job Id 101.pbs01"

    ((state, words),) = answers_of_pbs(run, qstat)
    assert state == "ended"
    assert "job history is not enabled" in words


def test_one_unknown_job_among_known_ones(tmp_path: Path) -> None:
    run = submitted(tmp_path, 2)
    live = "Job Id: 102.pbs01\n    job_state = R\n"

    def qstat(argv: tuple[str, ...]) -> tuple[int, str, str]:
        if "-x" in argv:
            return 0, "Job Id: 101.pbs01\n    job_state = F\n    Exit_status = -29\n", ""
        return 35, live, "qstat: 101.pbs01 Job has finished, use -x or -H to obtain ..."

    assert answers_of_pbs(run, qstat) == [
        ("ended", "ran into its time limit"),
        ("running", "runs"),
    ]


@pytest.mark.parametrize(
    ("kind", "tool"), [("slurm", "squeue"), ("lsf", "bjobs"), ("pbs", "qstat"), ("flux", "flux")]
)
def test_a_query_that_fails_times_out_or_is_missing_leaves_a_job_unknown(
    tmp_path: Path, kind: str, tool: str
) -> None:
    run = submitted(tmp_path, 1)

    def slow(argv: tuple[str, ...]) -> tuple[int, str, str]:
        raise SchedulerError(f"{argv[0]} gave no answer within 30 s; try again later")

    refused = says("", 1, "Socket timed out on send/recv operation")
    for answers, words in (
        ({tool: slow}, "gave no answer within 30 s"),
        ({tool: refused}, "Socket timed out"),
        ({}, f"{tool} is not on this machine's PATH"),
    ):
        (link,) = link_states(run, FakeRunner(answers), kind)
        assert link.state == "unknown"
        assert words in link.reason
        with pytest.raises(SchedulerError, match="whether it still lives is not known"):
            live_jobs(run, FakeRunner(answers), kind)


def test_a_job_that_ended_by_itself_is_cancelled_without_complaint(tmp_path: Path) -> None:
    run = submitted(tmp_path, 1)
    gone = says("", 1, "scancel: error: Invalid job id specified")
    runner = FakeRunner({"squeue": says("101|RUNNING|None\n"), "scancel": gone})
    assert [job.job_id for job in cancel(run, runner)] == ["101"]
