"""--profile: each profiler's line, which ranks it wraps, what is refused, and the real nsys."""

import dataclasses
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from neox.config.run_config import RunConfig
from neox.sites.profile import Container, Profile, Profiler, PythonPlace
from neox.submit.cli_args import parse_run
from neox.submit.codec import decode, encode
from neox.submit.explain import explain
from neox.submit.plan import Plan, Profiling
from neox.submit.profiling import Recorded, profiling_of
from neox.submit.profiling_review import file_bytes
from neox.submit.refusal import UsageError
from neox.submit.render import render
from neox.submit.request import ProfileRanks, Request
from neox.submit.review import review
from tests.submit import askings, plans
from tests.submit.stand_ins import Machine, until

NSYS = Path("/usr/lib/x86_64-linux-gnu/nsight-systems/target-linux-x64/nsys")
FIRST = ProfileRanks()


def asked(site: str, tool: str, **changes: object) -> Plan:
    profile = changes.pop("profile_of", None)
    request = dataclasses.replace(askings.ask(site), profile=tool, nodes=12, **changes)  # type: ignore[arg-type]
    return askings.plan(request, profile)  # type: ignore[arg-type]


def with_tool(site: str, **profilers: Profiler) -> Profile:
    return dataclasses.replace(askings.site(site), profilers=profilers)


def wrapped(rank_script: str) -> str:
    """The array of the profiler, on one line."""
    text = rank_script.partition("  profiler=(")[2].partition(")\n")[0]
    return " ".join(text.replace("\\\n", " ").split())


# --- the line ----------------------------------------------------------------------------------


def test_nsys_as_the_predecessor_documents_it() -> None:
    assert wrapped(render(asked("juwels-booster", "nsys", account="zam"), link=1).rank) == (
        "\"$NEOX_PROFILER\" profile '--trace=cuda,nvtx' --capture-range=cudaProfilerApi "
        "--capture-range-end=stop --sample=none --cpuctxsw=none --kill=none "
        '--force-overwrite=true "--output=$run/profiles/$job_id.rank-$RANK"'
    )


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "rocprofv3",
            "--hip-trace --kernel-trace --memory-copy-trace --marker-trace --output-format pftrace "
            '--output-directory "$run/profiles" --output-file "$job_id.rank-$RANK" --',
        ),
        (
            "/opt/rocm/bin/rocprofv2",
            "--hip-trace --kernel-trace --roctx-trace --plugin perfetto "
            '-d "$run/profiles" -o "$job_id.rank-$RANK"',
        ),
        (
            "rocprof",
            '--hip-trace --roctx-trace --trace-start off -o "$run/profiles/$job_id.rank-$RANK.csv"',
        ),
    ],
)
def test_rocprof_by_its_generation(command: str, line: str) -> None:
    site = with_tool("frontier", rocprof=Profiler(command=command))
    plan = asked("frontier", "rocprof", profile_of=site)
    made = render(plan, link=1)
    assert wrapped(made.rank) == f'"$NEOX_PROFILER" {line}'
    assert f"NEOX_PROFILER=$(type -P {command}) || refuse" in made.job
    assert f"NEOX_PROFILE={command.rpartition('/')[2]} " in made.rank


def test_torch_and_memory_are_the_engines_own() -> None:
    for tool in ("torch", "memory"):
        made = render(asked("frontier", tool, profile_steps=(3, 4)), link=1)
        assert f"export NEOX_PROFILE={tool} NEOX_PROFILE_STEPS=3:4" in made.rank
        assert "profiler=(" not in made.rank and "NEOX_PROFILER" not in made.job


@pytest.mark.parametrize(
    ("ranks", "case"),
    [
        (ProfileRanks(named=(0, 8)), "case $RANK in\n0 | 8)\n"),
        (ProfileRanks(which="one-per-node", named=()), "case $LOCAL_RANK in\n0)\n"),
        (ProfileRanks(which="all", named=()), "case $RANK in\n*)\n"),
    ],
)
def test_which_ranks(ranks: ProfileRanks, case: str) -> None:
    plan = asked("frontier", "torch", profile_ranks=ranks)
    assert case in render(plan, link=1).rank
    assert decode(Request, encode(plan.request)) == plan.request


def test_the_sites_module_comes_last_and_what_disturbs_goes() -> None:
    tool = Profiler(command="rocprofv3", module="rocprofiler", unload=("darshan-runtime",))
    plan = asked("frontier", "rocprof", profile_of=with_tool("frontier", rocprof=tool))
    made = render(plan, link=1)
    lines = made.job.splitlines()
    loads = [line for line in lines if line.startswith(("load ", "module unload"))]
    assert loads[-2:] == [
        "module unload darshan-runtime || :",
        "load rocprofiler",
    ]
    assert "profilers.rocprof" in "\n".join(explain(plan, made))
    assert "[profilers" not in review(plan)


def test_in_a_container_the_images_own_is_used() -> None:
    inside = dataclasses.replace(
        with_tool("frontier", rocprof=Profiler(command="rocprofv3", module="rocprofiler")),
        container=Container(kind="apptainer", image="/img.sif"),
        python=PythonPlace(kind="container", path="/opt/neox/bin/python"),
    )
    made = render(asked("frontier", "rocprof", profile_of=inside), link=1)
    assert "NEOX_PROFILER" not in made.job + made.rank and "load rocprofiler" not in made.job
    assert wrapped(made.rank).startswith("rocprofv3 --hip-trace")
    words = made.rank.replace("\\\n", " ").split()
    assert words.index('"${profiler[@]}"') == words.index("/img.sif") + 1


# --- what is refused, and what is said ---------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "tool", "changes", "complaint"),
    [
        ("frontier", "nsys", {}, "not for the MI250X GCD (gfx90a) of frontier; use --profile roc"),
        ("juwels-booster", "rocprof", {"account": "zam"}, "(sm_80) of juwels-booster; use --prof"),
        ("local", "memory", {"nodes": 1}, "this job uses none; use --profile torch"),
        ("frontier", "torch", {"profile_ranks": ProfileRanks(named=(96,))}, "ranks 0 to 95"),
        ("frontier", "torch", {"profile_steps": (9, 150001)}, "the run ends after step 150000"),
        ("frontier", "rocprof", {"output": Path("/lustre/100%")}, "read the %"),
        ("frontier", None, {"profile_steps": (9, 10)}, "--profile-steps: of what?"),
        ("frontier", "torch", {"job": "evaluate"}, "job kind evaluate makes no steps"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    site: str, tool: str | None, changes: dict[str, object], complaint: str
) -> None:
    overrides = ("num_gpus=1",) if site == "local" else ()
    config = "pythia/160M" if site == "local" else "20B"
    request = dataclasses.replace(askings.ask(site, config, overrides), nodes=12, profile=tool)  # type: ignore[arg-type]
    assert complaint in askings.refused(request, **changes)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--profile", "gdb"), "invalid choice"),
        (("--profile-ranks", "0-3"), "names no ranks"),
        (("--profile-ranks", "-1"), "names no ranks"),
        (("--profile-steps", "12:10"), "the first before the last"),
        (("--profile-steps", "0:2"), "count from 1"),
        (("--profile-steps", "a:b"), "is not FIRST:LAST"),
    ],
)
def test_what_is_mistyped_is_said(words: Sequence[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_run(["20B.yml", *words])


def test_the_review_says_size_and_how_it_is_opened() -> None:
    ranks = ProfileRanks(named=(0, 8))
    lines = review(asked("juwels-booster", "nsys", account="zam", profile_ranks=ranks))
    assert "nsys on ranks 0, 8, steps 10-12" in lines
    assert "profiles/JOBID.rank-N.nsys-rep: estimate, about" in lines and "together" in lines
    assert "nsys-ui FILE" in lines and "Where is nsys on juwels-booster?" in lines
    both = [asked("frontier", "torch", profile_steps=(10, last)) for last in (10, 19)]
    one, ten = ([line for line in review(p).splitlines() if "about" in line] for p in both)
    assert one != ten


@pytest.mark.parametrize(
    ("layers", "accumulation", "measured"), [(2, 4, 295_107), (8, 4, 954_575), (8, 1, 386_649)]
)
def test_the_size_of_a_trace_is_about_what_was_measured(
    layers: int, accumulation: int, measured: int
) -> None:
    """Two steps under torch's profiler on one CPU, hidden size and sequence 32."""
    words = ("num_gpus=1", f"num_layers={layers}", "attention_config=null")
    words += ("train_micro_batch_size_per_gpu=1", f"train_batch_size={accumulation}")
    request = askings.ask("local", "pythia/160M", (*words, "checkpoint_activations=false"))
    plan = askings.plan(dataclasses.replace(request, profile="torch", profile_steps=(3, 4)))
    assert 1 <= file_bytes(plan) / measured < 1.5


def test_steps_are_the_configs_where_nobody_says_others() -> None:
    request = askings.ask("frontier", overrides=("profile_step_start=5", "profile_step_stop=7"))
    plan = askings.plan(dataclasses.replace(request, profile="torch", nodes=12))
    assert plan.profile is not None and plan.profile.steps == (5, 7)


@pytest.mark.parametrize("tool", ["nsys", "rocprof", "torch", "memory"])
def test_a_job_kind_of_its_own(tool: str) -> None:
    job = askings.job(f"profile-{tool}")
    assert job.profile == tool and job.entry == ("train", "{run_yml}") and not job.chain
    steps = job.config["train_iters"]
    assert isinstance(steps, int) and steps >= 12


# --- at work -----------------------------------------------------------------------------------

# Plays nsys: notes its words, and passes on what its child says; USR1 would end it.
FAKE = """#!/bin/bash
printf '%s\\0' "$@" >"$FAKE_RUN/state/nsys.$RANK"
while [[ $1 != *.rank-* ]]; do shift; done
shift
"$@" &
trap 'kill -TERM $!' TERM
code=0
wait $! || code=$?
exit "$code"
"""


def recording(name: plans.SiteName, ranks: ProfileRanks) -> Profiling:
    site = plans.site(name)
    of = Recorded(
        site=site,
        job=askings.job(),
        config=RunConfig(),
        node=site.node_types[0],
        use_gpus=False,
        ranks=2,
    )
    request = dataclasses.replace(plans.request(Path("/x")), profile="nsys", profile_ranks=ranks)
    made = profiling_of(of, request)
    assert made is not None
    return made


def profiled(machine: Machine, name: plans.SiteName, ranks: ProfileRanks = FIRST) -> None:
    machine.submit(
        plans.plan(machine.run, name, python=machine.python, profile=recording(name, ranks))
    )


@pytest.fixture
def nsys(machine: Machine) -> Machine:
    program = machine.folder / "bin" / "nsys"
    program.write_text(FAKE)
    program.chmod(0o755)
    return machine


@pytest.mark.parametrize("name", get_args(plans.SiteName))
def test_chosen_ranks_alone_are_wrapped_under_each_launcher(
    nsys: Machine, name: plans.SiteName
) -> None:
    profiled(nsys, name, ProfileRanks(named=(1,)))
    code, printed = nsys.finish()
    assert code == 0, printed
    words = (nsys.state / "nsys.1").read_text().split("\0")[:-1]
    job = (nsys.state / "env.1").read_text().partition("NEOX_JOB_ID=")[2].partition("\0")[0]
    output = f"--output={nsys.run}/profiles/{job}.rank-1"
    assert words[words.index(output) + 1 :][:5] == [
        nsys.python,
        "-P",
        "-m",
        "neox.run.cli",
        "train",
    ]
    assert not (nsys.state / "nsys.0").exists()
    told = [(nsys.state / f"env.{rank}").read_text().split("\0") for rank in (0, 1)]
    assert "NEOX_PROFILE=nsys" in told[1] and "NEOX_PROFILE_STEPS=10:12" in told[1]
    assert not [word for word in told[0] if word.startswith("NEOX_PROFILE=")]
    assert (nsys.run / "profiles").is_dir()


def test_the_code_of_a_recorded_rank_is_its_own(nsys: Machine) -> None:
    profiled(nsys, "slurm", ProfileRanks(which="all", named=()))
    code, printed = nsys.finish(FAKE_END="code 3")
    assert code == 3, printed


def test_a_profiler_that_is_not_there_refuses_before_the_ranks(machine: Machine) -> None:
    gone = dataclasses.replace(recording("slurm", FIRST), command="nsys-of-old")
    machine.submit(plans.plan(machine.run, python=machine.python, profile=gone))
    code, printed = machine.finish()
    assert code == 4 and "nsys-of-old is not on the PATH: say its module in [profilers.n" in printed
    assert not (machine.state / "argv.0").exists()


def test_a_hung_rank_prints_its_stack_through_the_profiler(nsys: Machine) -> None:
    """USR1 goes to Python, and not to nsys alone, which would die of it."""
    profiled(nsys, "local")
    job = nsys.start(FAKE_END="hang", FAKE_RANK="0")
    try:
        nsys.wait_for("phase.step.0")
        rank = next(pid for pid in children(job.pid) if "rank.sh" in command(pid))
        os.kill(rank, signal.SIGUSR1)
        logs = (nsys.run / "logs").iterdir
        until(lambda: any("most recent call" in log.read_text() for log in logs()), "no stack")
        assert job.poll() is None
    finally:
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=40)


def children(pid: int) -> list[int]:
    below = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in below for each in (child, *children(child))]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.skipif(not NSYS.exists(), reason="Debian's nsight-systems-target is not installed")
@pytest.mark.parametrize("gpus", [False, True])
def test_the_real_nsys_takes_the_line(machine: Machine, gpus: bool) -> None:
    """Without GPUs it writes a report of the whole run; with them it waits for the engine's range,
    which needs a driver, so the line is read and Python runs, and there is nothing to report.
    """
    machine.environ["PATH"] = f"{NSYS.parent}:{machine.environ['PATH']}"
    made = recording("slurm", FIRST)
    if gpus:
        made = dataclasses.replace(made, wrap=recording_on_gpus().wrap)
    machine.submit(plans.plan(machine.run, "slurm", python=machine.python, profile=made))
    code, printed = machine.finish()
    assert code == 0, printed
    assert "hello from the entry" in printed and "unrecognised option" not in printed
    written = [file.name for file in (machine.run / "profiles").iterdir()]
    # this package has no importer, which would turn .qdstrm into .nsys-rep
    assert written == ([] if gpus else ["4711.rank-0.qdstrm"])


def recording_on_gpus() -> Profiling:
    made = asked("juwels-booster", "nsys", account="zam").profile
    assert made is not None
    return made


def test_the_real_nsys_refuses_what_it_does_not_know() -> None:
    """The test above would see a wrong option."""
    if not NSYS.exists():
        pytest.skip("Debian's nsight-systems-target is not installed")
    words = (NSYS, "profile", "--capture-rage=x", "true")
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0
