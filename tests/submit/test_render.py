"""The scripts: what bash makes of them, and what rendering never does. Kept text: tests/golden."""

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neox.submit.plan import Directive, Origin, Plan, Preflight, Staging, Variable
from neox.submit.quoting import QuotingError
from neox.submit.render import render
from neox.submit.words import Literal, ShellVar, literal
from tests.golden.cases import plan_for
from tests.submit import plans
from tests.submit.stand_ins import Machine, descendants_of, ended, until


@pytest.mark.slow
@pytest.mark.parametrize(
    "linter", [("shellcheck",), ("shfmt", "-i", "2", "-d")], ids=lambda it: it[0]
)
def test_linters_have_nothing_to_say(linter: tuple[str, ...], tmp_path: Path) -> None:
    files: list[str] = []
    for name, changes in VARIANTS.items():
        script = render(changes(plans.plan(tmp_path, name_of(name))), link=1)
        for kind, text in (("job", script.job), ("rank", script.rank)):
            files.append(str(tmp_path / f"{name}.{kind}.sh"))
            Path(files[-1]).write_text(text)
    done = subprocess.run([*linter, *files], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def with_binding(plan: Plan, binding: str) -> Plan:
    launcher = dataclasses.replace(plan.site.launcher, binding=binding)
    return dataclasses.replace(plan, site=dataclasses.replace(plan.site, launcher=launcher))


def with_suffix(plan: Plan, suffix: str) -> Plan:
    launcher = dataclasses.replace(plan.site.launcher, master_suffix=suffix)
    return dataclasses.replace(plan, site=dataclasses.replace(plan.site, launcher=launcher))


def with_spare_nodes(plan: Plan) -> Plan:
    chosen = (Literal("--exclude="), ShellVar("left_out"))
    line = "%s slots=2\\n" if plan.site.name == "openmpi" else None
    launch = dataclasses.replace(
        plan.launch,
        argv=(*plan.launch.argv, chosen),
        chosen_line=line,
        chosen_ranks="rankfile-used" if line else None,
    )
    tried = Preflight(launch=plan.launch)
    return dataclasses.replace(plan, spare_nodes=1, launch=launch, preflight=tried)


def with_staged_python(plan: Plan) -> Plan:
    to = (Literal("/mnt/bb/me/neox-"), ShellVar("job_id"))
    stage = Staging(archive="/proj/venv.tar", to=to, broadcast=True, needs=None)
    return dataclasses.replace(plan, preflight=Preflight(launch=plan.launch), stage=stage)


# what no shipped site shows: many ranks, taskset, every kind of site with --here
VARIANTS: dict[str, Callable[[Plan], Plan]] = {
    "slurm-many": lambda plan: dataclasses.replace(plan, nodes=200),
    "slurm-wrapper": lambda plan: with_binding(plan, "wrapper"),
    "slurm-here": lambda p: dataclasses.replace(
        p, request=dataclasses.replace(p.request, here=True)
    ),
    "lsf-nosignal": lambda p: dataclasses.replace(p, job=dataclasses.replace(p.job, signal=False)),
    "pbs-requeue": lambda p: dataclasses.replace(p, site=dataclasses.replace(p.site, requeue=True)),
    "pbs-suffix": lambda p: with_suffix(p, ".hsn.example.org"),
    "flux-suffix": lambda p: with_suffix(p, "i"),
    "slurm-spare": with_spare_nodes,
    "openmpi-spare": with_spare_nodes,
    "slurm-stage": with_staged_python,
    "lsf-stage": with_staged_python,
    "local-unset": lambda plan: dataclasses.replace(plan, unset=("TMPDIR",)),
}


def name_of(variant: str) -> plans.SiteName:
    return variant.partition("-")[0]  # type: ignore[return-value]


def test_rendering_starts_nothing_and_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("rendering started a process or opened a socket")

    for owner, name in ((subprocess, "Popen"), (os, "fork"), (os, "system"), (socket, "socket")):
        monkeypatch.setattr(owner, name, forbidden)
    anew = plan_for.__wrapped__  # not the plan that other tests share
    first, second = (render(anew("frontier", 12), link=1) for _ in range(2))
    assert first == second


def test_jinja_is_imported_only_when_something_is_rendered() -> None:
    code = "import sys, neox.submit.render as r; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- what bash makes of them -------------------------------------------------------------------


def environment(machine: Machine, rank: int) -> dict[str, str]:
    lines = (machine.state / f"env.{rank}").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("slurm", "node1"),
        ("lsf", "node1"),
        ("pbs", "node1.hsn.example.org"),
        ("flux", "node1"),
        ("openmpi", "node1"),
    ],
)
def test_the_first_host_is_the_masters(
    machine: Machine, name: plans.SiteName, address: str
) -> None:
    machine.submit(plans.plan(machine.run, name, python=machine.python))
    assert machine.finish()[0] == 0
    assert environment(machine, 0)["MASTER_ADDR"] == address


@pytest.mark.parametrize(
    ("suffix", "address"), [("i", "node1.hsn.example.orgi"), (".ib", "node1.ib")]
)
def test_a_suffix_extends_a_name_or_takes_the_place_of_its_domain(
    machine: Machine, suffix: str, address: str
) -> None:
    made = plans.plan(machine.run, "pbs", python=machine.python)
    machine.submit(with_suffix(made, suffix))
    assert machine.finish()[0] == 0
    assert environment(machine, 0)["MASTER_ADDR"] == address


@pytest.mark.parametrize(("count", "number"), [("", "0"), ("    run_count = 3", "3")])
def test_pbs_counts_the_runs_of_a_job_that_it_may_run_again(
    machine: Machine, count: str, number: str
) -> None:
    made = plans.plan(machine.run, "pbs", python=machine.python)
    again = dataclasses.replace(made, site=dataclasses.replace(made.site, requeue=True))
    machine.submit(again)
    job = machine.start(FAKE_STATE=f"Job Id: 4711.pbs01\n{count}", FAKE_START="3")
    machine.wait_for("phase.start.0")
    owner = (machine.state / "owner" / "job").read_text().split()
    assert owner[:2] == ["4711", number]
    assert ended(job)[0] == 0


def test_inside_an_allocation_of_pbs_the_output_is_the_terminals(machine: Machine) -> None:
    made = plans.plan(machine.run, "pbs", python=machine.python)
    here = dataclasses.replace(made, request=dataclasses.replace(made.request, here=True))
    machine.submit(here)
    code, printed = ended(machine.start())
    assert code == 0
    assert "hello from the entry" in printed


def test_the_first_of_9408_hosts(machine: Machine) -> None:
    """A pipe into `head` dies of SIGPIPE at some 1,024 names, and pipefail takes the job along."""
    hosts = "\n".join(f"frontier{number:05}" for number in range(1, 9409))
    (machine.folder / "hosts").write_text(hosts + "\n")
    (machine.folder / "bin" / "scontrol").write_text(f"#!/bin/bash\ncat {machine.folder}/hosts\n")
    machine.submit(plans.plan(machine.run, "slurm", python=machine.python))
    assert machine.finish()[0] == 0
    assert environment(machine, 0)["MASTER_ADDR"] == "frontier00001"


# --- rank.sh -----------------------------------------------------------------------------------


def test_ranks_are_tagged_and_keep_a_file(machine: Machine) -> None:
    machine.submit(plans.plan(machine.run, "slurm", python=machine.python))
    _, printed = machine.finish(SLURMD_NODENAME="nid1")
    for rank in (0, 1):
        lines = [f"[nid1:{rank}] hello from the entry", f"[nid1:{rank}] the last line"]
        assert (machine.run / "logs" / f"nid1.{rank}.log").read_text().splitlines() == lines
        assert set(lines) <= set(printed.splitlines())
    assert environment(machine, 1)["CACHE"] == "/tmp/c-1"


@pytest.mark.parametrize("missing", ["SLURM_PROCID", "SLURM_LOCALID", "MASTER_ADDR", "wrong size"])
def test_a_rank_that_does_not_know_who_it_is(machine: Machine, missing: str) -> None:
    machine.submit(plans.plan(machine.run, "slurm", python=machine.python))
    environ = {
        **machine.environ,
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "1",
        "SLURM_NTASKS": "2",
        "NEOX_JOB_ID": "4711",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "20001",
        "OMPI_COMM_WORLD_RANK": "1",
        "PMI_RANK": "1",  # another launcher's, and not heeded
    }
    environ.pop(missing, None)
    if missing == "wrong size":
        environ["SLURM_NTASKS"] = "3"
    rank = [str(machine.run / "links/1/rank.sh")]
    done = subprocess.run(rank, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert ("3 ranks were started" if missing == "wrong size" else missing) in done.stderr
    assert '"code": 4' in (machine.state / "failed.4711").read_text()


def test_of_many_ranks_only_the_first_and_the_failing_keep_files(machine: Machine) -> None:
    made = dataclasses.replace(plans.plan(machine.run, "slurm", python=machine.python), nodes=200)
    machine.submit(made)
    machine.environ |= {"TMPDIR": str(machine.folder), "FAKE_SIZE": "4", "SLURMD_NODENAME": "n"}
    rank = machine.run / "links/1/rank.sh"
    rank.write_text(rank.read_text().replace("((WORLD_SIZE == 400))", "((WORLD_SIZE == 4))"))
    machine.finish(FAKE_END="code 3", FAKE_RANK="3")
    assert {path.name for path in (machine.run / "logs").iterdir()} == {
        "n.0.log",
        "n.2.log",
        "n.3.log",
    }
    assert not list(machine.folder.glob("tmp.*"))


def test_a_rank_says_when_it_runs_elsewhere_than_planned(machine: Machine) -> None:
    usable = sorted(os.sched_getaffinity(0))
    made = with_binding(plans.plan(machine.run, "slurm", python=machine.python), "cores")
    node = dataclasses.replace(made.node_type, cores=max(usable) + 2)
    right = dataclasses.replace(made.layout[0], cores=tuple(usable))
    wrong = dataclasses.replace(made.layout[1], cores=tuple(core + 1 for core in usable))
    machine.submit(dataclasses.replace(made, node_type=node, layout=(right, wrong)))
    _, printed = machine.finish()
    (said,) = [line for line in printed.splitlines() if "were planned" in line]
    assert ":1] rank.sh: this rank may run on cores" in said


def test_a_hardware_thread_counts_as_its_core(tmp_path: Path) -> None:
    """Frontier's far numbering (core + 64) and POWER9's near one (4 * core)."""
    for site, threads, cores in (("frontier", "1-3,65-67", "1 2 3"), ("summit", "0-11", "0 1 2")):
        rank = render(plan_for(site, 1), link=1).rank
        function = rank[rank.index("cores_of()") : rank.index("planned=(")]
        done = subprocess.run(
            ["/bin/bash", "-euc", f"{function}\ncores_of {threads}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == cores


def test_a_killed_rank_ends_the_launcher(machine: Machine) -> None:
    machine.submit(plans.plan(machine.run, "slurm", python=machine.python))
    job = machine.start(FAKE_END="stop")
    machine.wait_for("phase.step.1")
    entries = [pid for pid in descendants_of(job.pid) if is_entry(pid)]
    assert len(entries) == 2
    os.kill(entries[0], 9)
    assert ended(job, 15)[0] == 75
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in entries), "an entry is left")


def is_entry(pid: int) -> bool:
    return b"\0train\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


# --- what is refused ---------------------------------------------------------------------------


def test_what_has_no_place_in_a_script_is_refused_by_name(tmp_path: Path) -> None:
    origin = Origin(text="--directive")
    made = plans.plan(tmp_path)
    broken = {
        "variable CACHE": {
            "variables": (Variable(name="CACHE", value=literal("a\nb"), origin=origin),)
        },
        "launch argument": {
            "launch": dataclasses.replace(made.launch, argv=(literal("srun"), literal("\x1b[2J")))
        },
        "directive from --directive": {"directives": (Directive(text="--a=$(x)", origin=origin),)},
        "python": {"python": "/a\x00b"},
        "container argument": {"container": ((Literal("a\tb"), ShellVar("run")),)},
    }
    for field, changes in broken.items():
        with pytest.raises(QuotingError, match=f"^{field}"):
            render(dataclasses.replace(made, **changes), link=1)  # type: ignore[arg-type]
