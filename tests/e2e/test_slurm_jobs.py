"""The life of jobs on a real Slurm, with ranks that only keep the contract."""

import json
import re
import subprocess
import time

import pytest

from neox.run.paths import RunPaths
from neox.submit.submissions import submissions
from tests.e2e.jobs import Desk, call, ranks_seen, wait_until
from tests.testbed.slurm import SlurmCluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def job_ids(run: RunPaths) -> list[str]:
    return [job.job_id for job in submissions(run)]


def wait_for_ranks(run: RunPaths, job_id: str, ranks: int) -> None:
    wait_until("the ranks start", lambda: len(ranks_seen(run, job_id)) == ranks, 60)


def test_ranks_leave_seconds_apart_and_none_is_killed(desk: Desk) -> None:
    run = desk.run("apart", "--nodes", "2", "--python", desk.python("leave"))
    assert desk.wait_for_end(run) == [85]
    (job,) = job_ids(run)
    left = sorted(float(p.read_text()) for p in run.state.glob(f"left.{job}.*"))
    assert len(left) == 4
    assert left[-1] - left[0] > 4  # they were apart, and srun let each end by itself
    log = run.job_log(job).read_text()
    assert {f"[n{1 + r // 2}:{r}] rank {r} is here" for r in range(4)} <= set(log.splitlines())
    assert "rank 3 is here" in desk.neox_submit("logs", str(run.root), "--rank", "3")


def test_each_rank_has_the_planned_cores_also_when_submitted_from_an_allocation(desk: Desk) -> None:
    inside = ("salloc", "-A", "proj123", "-N1", "-n1", "-c2", "--quiet")
    words = ("--nodes", "2", "--python", desk.python("leave"))
    run = desk.run("inside", *words, prefix=inside)
    assert desk.wait_for_end(run) == [85]
    seen = ranks_seen(run, job_ids(run)[0])
    # cores in order, and the GPUs beside them: the first two L3 groups belong to GPUs 4 and 5
    cores = [{thread % 64 for thread in threads_of(seen[rank])} for rank in range(4)]
    assert cores == [set(range(1, 8)), set(range(9, 16))] * 2
    assert [seen[rank]["gpus"] for rank in range(4)] == ["4,5"] * 4
    assert [seen[rank]["node"] for rank in range(4)] == ["n1", "n1", "n2", "n2"] or len(
        {seen[rank]["node"] for rank in range(4)}
    ) == 2


def threads_of(seen: dict[str, object]) -> list[int]:
    cores = seen["cores"]
    assert isinstance(cores, list)
    return cores


def test_a_failing_rank_gives_the_job_its_code_and_ends_the_chain(desk: Desk) -> None:
    run = desk.run("fails", "--chain", "2", "--python", desk.python("fail"))
    assert desk.wait_for_end(run) == [3]  # the second link found `halt` and did nothing
    assert "no data" in run.halt.read_text()
    assert desk.status(run)["state"] == f"halted: {run.halt.read_text().strip()}"
    assert "halted" in desk.neox_submit("chain", str(run.root), code=4)


def test_cancel_ends_the_running_link_and_starts_no_other(desk: Desk) -> None:
    run = desk.run("cancelled", "--chain", "3", "--python", desk.python("wait"))
    first, *waiting = job_ids(run)
    wait_for_ranks(run, first, 2)
    states = [link["state"] for link in desk.links(run)]
    assert states == ["running", "pending", "pending"]
    assert desk.links(run)[1]["reason"] == "waits for the job before it"
    frozen = {p: p.read_bytes() for p in (run.root / "links").rglob("*") if p.is_file()}
    # a second submission of the same directory is refused, a re-render changes no waiting link
    assert "still waits or runs" in desk.neox_submit("submit", str(run.root), code=4)
    again = (
        *desk.site,
        "--name",
        "cancelled",
        "tiny.yml",
        "--continue",
        "optimizer.params.lr=0.002",
    )
    assert "not submitted" in desk.neox_submit(*again)
    assert {p: p.read_bytes() for p in frozen} == frozen
    assert "0.002" in run.run_config.read_text()
    said = desk.neox_submit("cancel", str(run.root))
    assert said.index(f"job {waiting[-1]}") < said.index(f"job {first}")  # last link first
    desk.wait_for_end(run)
    assert not any(ranks_seen(run, job) for job in waiting)
    assert all(link["native"] == "CANCELLED" for link in desk.links(run))


def test_a_run_follows_another_job_however_that_ends(
    desk: Desk, slurm_cluster: SlurmCluster
) -> None:
    before = ["sbatch", "--parsable", "-A", "proj123", "--output=/dev/null"]
    other = call([*before, "--wrap", "sleep 4; exit 3"], slurm_cluster.env).strip()
    run = desk.run("follows", "--dependency", other, "--python", desk.python("leave"))
    (link,) = desk.links(run)
    assert (link["state"], link["reason"]) == ("pending", "waits for the job before it")
    assert link["after"] == other
    assert desk.wait_for_end(run) == [85]


def test_stop_ends_a_link_with_a_save_and_the_next_does_nothing(desk: Desk) -> None:
    run = desk.run("stopped", "--chain", "2", "--python", desk.python("wait"))
    first, second = job_ids(run)
    wait_for_ranks(run, first, 2)
    desk.neox_submit("stop", str(run.root))
    assert desk.wait_for_end(run) == [85]
    assert run.saved(first).exists()
    assert "nothing to do" in run.job_log(second).read_text()
    assert not ranks_seen(run, second)


def test_a_second_job_of_a_run_leaves_with_4_and_harms_nothing(
    desk: Desk, slurm_cluster: SlurmCluster
) -> None:
    run = desk.run("twice", "--python", desk.python("wait"))
    (first,) = job_ids(run)
    wait_for_ranks(run, first, 2)
    script = str(run.link(1).job_script)
    second = call(["sbatch", "--parsable", "--wait", script], slurm_cluster.env, 4).strip()
    assert f"job {first}" in run.job_log(second).read_text()
    assert not run.halt.exists()
    desk.neox_submit("stop", str(run.root))
    assert desk.wait_for_end(run)[-1] == 85


def test_a_chain_of_three_links_goes_on_after_each_warning(
    desk: Desk, slurm_cluster: SlurmCluster
) -> None:
    """Slurm's own warning before the end of the time is the same signal to the batch shell."""
    run = desk.run("chain", "--chain", "3", "--python", desk.python("wait"))
    for job in job_ids(run):
        wait_for_ranks(run, job, 2)
        call(["scancel", "--batch", "--signal=USR2", job], slurm_cluster.env)
    assert desk.wait_for_end(run) == [85, 85, 85]
    assert len(list(run.checkpoints.iterdir())) == 3
    # more links can follow
    desk.neox_submit("chain", str(run.root))
    last = job_ids(run)[-1]
    wait_for_ranks(run, last, 2)
    assert submissions(run)[-1].link == 4


def test_here_runs_inside_an_allocation(desk: Desk) -> None:
    inside = ("salloc", "-A", "proj123", "-N2", "--exclusive", "--quiet")
    words = (*desk.site, "--nodes", "2", "--name", "here", "tiny.yml", "--here")
    words = (*words, "--python", desk.python("leave"))
    said = desk.neox_submit(*words, prefix=inside, code=85)
    assert all(f"rank {rank} is here" in said for rank in range(4))


def test_logs_follow_a_live_job_to_its_end(desk: Desk) -> None:
    run = desk.run("followed", "--python", desk.python("wait"))
    (job,) = job_ids(run)
    argv = [desk.python("none"), "-m", "neox.submit.cli", "logs", str(run.root), "--follow"]
    with subprocess.Popen(argv, env=desk.env, stdout=subprocess.PIPE, text=True) as follow:
        wait_for_ranks(run, job, 2)
        time.sleep(1)
        assert follow.poll() is None
        desk.neox_submit("stop", str(run.root))
        said, _ = follow.communicate(timeout=60)
    assert follow.returncode == 0
    assert "rank 1 is here" in said
    assert "ends with 85" in said


@pytest.mark.parametrize("phase", ["owner", "modules", "start", "step", "save", "exit"])
def test_the_signal_ends_a_link_with_a_save_in_every_phase(
    desk: Desk, slurm_cluster: SlurmCluster, phase: str
) -> None:
    act = f"slow-{phase}" if phase in ("start", "save", "exit") else "wait"
    words = with_slow_modules(desk) if phase == "modules" else ()
    run = desk.run(f"signal-{phase}", "--python", desk.python(act), *words)
    (job,) = job_ids(run)
    if phase == "step":
        wait_for_ranks(run, job, 2)
    else:
        reached = run.owner if phase == "owner" else run.state / f"phase.{phase}"
        wait_until(f"the job is at {phase}", reached.exists, 60)
    call(["scancel", "--batch", "--signal=USR2", job], slurm_cluster.env)
    assert desk.wait_for_end(run) == [85]
    assert run.saved(job).exists()
    assert not run.halt.exists()


def with_slow_modules(desk: Desk) -> tuple[str, ...]:
    """A site of the person's own whose one module takes 3 s to load."""
    profile = 'schema = 1\nextends = "testbed"\ntitle = "slow"\nstatus = "draft"\n'
    (desk.folder / "sites").mkdir()
    (desk.folder / "sites" / "slow.toml").write_text(f'{profile}[modules]\nload = ["slow"]\n')
    marker = desk.folder / "runs" / "signal-modules" / "state" / "phase.modules"
    load = f"touch {marker}; sleep 3; export LOADEDMODULES=slow"
    desk.env["BASH_FUNC_module%%"] = f"() {{ {load}; }}"  # as `export -f module` would
    return ("--site", "slow")


@pytest.mark.parametrize(
    ("site", "account", "order"),
    [
        ("frontier", "abc123", (4, 5, 2, 3, 6, 7, 0, 1)),
        ("lumi", "project_465000001", (0, 1, 2, 3, 4, 5, 6, 7)),
    ],
)
def test_the_centres_scripts_are_accepted_and_bind_as_documented(
    desk: Desk, slurm_cluster: SlurmCluster, site: str, account: str, order: tuple[int, ...]
) -> None:
    words = ("--site", site, "--account", account, "--nodes", "2", "num_gpus=8")
    words = (*words, "--output", "runs", "--time", "1:00:00", "tiny.yml", "--print")
    script = desk.folder / "job.sh"
    script.write_text(desk.neox_submit(*words))
    (desk.folder / "runs" / "tiny" / "logs").mkdir(parents=True)
    call(["sbatch", "--test-only", str(script)], slurm_cluster.env)
    launch = re.search(r"exec (srun .*?)\"\$link/rank.sh\"", script.read_text(), re.DOTALL)
    assert launch is not None
    rank = desk.folder / "rank"
    rank.write_text(
        "#!/bin/bash\ncpus=$(taskset -cp $$)\n"
        'echo "$SLURM_LOCALID ${cpus##*: } ${ROCR_VISIBLE_DEVICES-}"\n'
    )
    rank.chmod(0o755)
    header = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    header = [line for line in header if "--output" not in line]
    probe = desk.folder / "probe.sh"
    probe.write_text("\n".join(["#!/bin/bash", *header, f"{launch[1]} {rank}", ""]))
    output = desk.folder / "out"
    call(["sbatch", "--wait", f"--output={output}", str(probe)], slurm_cluster.env)
    rows = sorted(line.split() for line in output.read_text().splitlines())
    first_core = {0: 49, 1: 57, 2: 17, 3: 25, 4: 1, 5: 9, 6: 33, 7: 41}  # GPU -> its cores
    assert len(rows) == 16  # both nodes
    for local, gpu in enumerate(order):
        cores = f"{first_core[gpu]}-{first_core[gpu] + 6}"
        sees = str(gpu) if site == "frontier" else "0,1,2,3,4,5,6,7"
        assert rows[2 * local : 2 * local + 2] == [[str(local), cores, sees]] * 2


def test_the_json_of_a_submission_is_what_a_program_needs(desk: Desk) -> None:
    words = (*desk.site, "--name", "json", "tiny.yml", "--yes", "--json")
    said = json.loads(desk.neox_submit(*words, "--python", desk.python("leave")))
    assert said["schema_version"] == 1
    assert said["submitted"][0]["link"] == 1
    assert said["plan"]["ranks"] == 2


def test_slurm_that_refuses_leaves_no_link_behind(desk: Desk) -> None:
    words = (*desk.site, "--name", "refused", "tiny.yml", "--yes", "--directive", "qos=nosuch")
    said = desk.neox_submit(*words, code=4)
    assert "qos" in said.lower()
    assert "nothing was submitted" in said
    run = RunPaths(desk.folder / "runs" / "refused")
    assert not run.link(1).root.exists()
    assert not run.submissions.exists()


def test_a_hang_is_found_with_its_stacks_and_the_next_link_tries(desk: Desk) -> None:
    """srun passes the question for stacks on to the ranks, and ends them when it is told to."""
    words = (*desk.site, "--name", "hang", "tiny.yml", "--chain", "2")
    desk.neox_submit(*words, "--nodes", "2", "--python", desk.python("hang"))
    run = RunPaths(desk.folder / "runs" / "hang")
    text = run.job_script.read_text()
    assert text.count("limit=600") == 1 and text.count("pause 10") == 2
    impatient = text.replace("limit=600", "limit=3").replace("pause 10", "pause 2")
    run.job_script.write_text(impatient)
    desk.neox_submit("submit", str(run.root), "--accept-edited")
    assert desk.wait_for_end(run, 150) == [75, 75]  # the second moved no checkpoint either
    assert "moved no checkpoint" in run.halt.read_text()
    log = run.job_log(job_ids(run)[0]).read_text()
    assert "a hang: no sign of life for 3 s (phase step, step 7)" in log
    for rank in range(4):
        assert f"[n{1 + rank // 2}:{rank}]   File " in log, log


def test_a_bad_node_is_found_and_the_next_link_goes_on_without_it(desk: Desk) -> None:
    """The waiting link is kept off it by Slurm, and a new one too; a spare node saves the link."""
    words = (*desk.site, "--name", "bad", "tiny.yml", "--nodes", "3", "--chain", "2")
    desk.neox_submit(*words, "--python", desk.python("at-once"))
    run = RunPaths(desk.folder / "runs" / "bad")
    (run.state / "unfit.n2").touch()
    desk.neox_submit("submit", str(run.root))
    first, second = job_ids(run)
    desk.wait_for_end(run, 120)
    assert "job.sh: preflight: n2: its GPU 3 is gone" in run.job_log(first).read_text()
    assert not ranks_seen(run, first)
    seen = ranks_seen(run, second)
    assert {seen[rank]["node"] for rank in range(6)} == {"n1", "n3", "n4"}
    assert desk.status(run)["bad_nodes"] == {"n2": f"its GPU 3 is gone (job {first})"}
    assert [link["code"] for link in desk.links(run)] == [75, 85]
    (run.state / "unfit.n3").touch()  # of the three that are left one more, and one to spare
    run.bad_nodes.write_text("")
    (run.state / "unfit.n2").unlink()
    again = (*words, "--continue", "--spare-nodes", "1", "--python", desk.python("at-once"))
    desk.neox_submit(*again, "--yes", "--chain", "1")
    desk.wait_for_end(run, 120)
    third = job_ids(run)[-1]
    seen = ranks_seen(run, third)
    assert {seen[rank]["node"] for rank in range(6)} == {"n1", "n2", "n4"}


def test_a_sweep_is_one_array_and_each_element_its_own_run(desk: Desk) -> None:
    axes = ("--sweep", "seed=1,2,3", "--array", "--python", desk.python("wait"))
    said = desk.neox_submit(*desk.site, "--name", "seeds", "tiny.yml", *axes, "--yes")
    sweep = desk.folder / "runs" / "seeds"
    runs = [RunPaths(sweep / f"seed={seed}") for seed in (1, 2, 3)]
    ids = [job for run in runs for job in job_ids(run)]
    array = ids[0].partition("_")[0]
    assert ids == [f"{array}_{index}" for index in (1, 2, 3)] and f"as job {ids[2]}" in said
    for run in runs:
        wait_until(f"{run.name} starts", lambda run=run: list(run.state.glob("rank.*")), 60)
    states = [desk.links(run)[0]["state"] for run in runs]
    assert states == ["running"] * 3
    desk.neox_submit("cancel", str(runs[1].root))  # one element, and no other
    desk.neox_submit("stop", str(sweep))
    assert desk.wait_for_end(runs[0]) == [85] and desk.wait_for_end(runs[2]) == [85]
    desk.wait_for_end(runs[1])
    assert "3 runs: 3 halted" in desk.neox_submit("status", str(sweep))
    assert "rank 0 is here" in runs[2].job_log(ids[2]).read_text()
    (line,) = (sweep / f"array.{array}.out").read_text().splitlines()  # Slurm's own words alone
    assert line.startswith("slurmstepd") and "CANCELLED" in line
