"""Plans made by hand, so that a test says exactly what it renders."""

from dataclasses import replace
from pathlib import Path
from typing import Literal as Choice

from neox.config.run_config import RunConfig
from neox.run.paths import RunPaths
from neox.sites.profile import (
    Bin,
    Launcher,
    Modules,
    NodeType,
    Profile,
    PythonPlace,
    Queue,
    Scheduler,
    Signal,
)
from neox.submit.job_kind import JobKind
from neox.submit.layout import RankPlace
from neox.submit.plan import (
    CostEstimate,
    Directive,
    Entry,
    Geometry,
    LaunchPlan,
    Origin,
    Plan,
    Variable,
)
from neox.submit.request import Request
from neox.submit.words import Literal, ShellVar, Word, literal

SiteName = Choice["slurm", "lsf", "pbs", "flux", "openmpi", "local"]
MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_SIZE")
VARIABLES = {
    "slurm": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"),
    "lsf": ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"),
    "pbs": MPI,
    "flux": MPI,
    "openmpi": MPI,
    "local": ("RANK", "LOCAL_RANK", "WORLD_SIZE"),
}
ARGV: dict[str, tuple[Word, ...]] = {
    "slurm": (literal("srun"), literal("--ntasks=2"), literal("--kill-on-bad-exit=1")),
    "lsf": (literal("jsrun"), literal("-n1"), literal("-a2")),
    "pbs": (literal("mpirun"), literal("-np"), literal("2")),
    "flux": (literal("mpirun"), literal("-np"), literal("2")),
    "openmpi": (
        literal("mpirun"),
        literal("--hostfile"),
        (ShellVar("link"), Literal("/hostfile")),
    ),
    "local": (),
}
SCHEDULERS = {"openmpi": "local"}  # where it is not the site's name
LAUNCHERS = {"slurm": "srun", "lsf": "jsrun", "local": "spawn"}  # the others: Open MPI
MASTERS = {
    "slurm": "first-host",
    "lsf": "lsf-hostfile",
    "pbs": "pbs-nodefile",
    "flux": "flux-first-host",
    "openmpi": "host-list",
    "local": "localhost",
}
ORIGIN = Origin(text="by hand")


def site(name: SiteName, *, modules: Modules | None = None) -> Profile:
    """The smallest profile with this scheduler and launcher; two unbound ranks a node."""
    return Profile(
        schema=1,
        name=name,
        title=f"a {name} machine",
        status="draft",
        scheduler=Scheduler(kind=SCHEDULERS.get(name, name)),
        launcher=Launcher(
            kind=LAUNCHERS.get(name, "openmpi"),  # type: ignore[arg-type]
            binding="none",
            master=MASTERS[name],  # type: ignore[arg-type]
        ),
        node_types=(NodeType(cores=4, numa=("0-3",), memory_gb=8),),
        queues=(
            Queue(name="batch", default_seconds=3600, bins=(Bin(low=1, high=9, seconds=7200),)),
        ),
        modules=modules or Modules(),
        python=PythonPlace(kind="submitting"),
        signal=Signal(how="scheduler" if name in ("slurm", "lsf") else "timer"),
    )


def request(cwd: Path, **changes: object) -> Request:
    made = Request(
        site="slurm",
        job="train",
        configs=(Path("20B.yml"),),
        user="me",
        cwd=cwd,
        home=cwd,
        submit_python="/usr/bin/python3",
        machine_cores=4,
        hosts=("node1", "node2"),
        argv=("neox-submit", "20B.yml"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def plan(
    root: Path,
    name: SiteName = "slurm",
    *,
    python: str = "/opt/neox/bin/python",
    modules: Modules | None = None,
    signal: bool = True,
    **changes: object,
) -> Plan:
    """A plan of two ranks on one node that keeps its run in `root`."""
    profile = site(name, modules=modules)
    rank, local_rank, size = VARIABLES[name]
    made = Plan(
        request=request(root),
        site=profile,
        job=JobKind(name="train", title="train", entry=("train", "{run_yml}"), signal=signal),
        config=RunConfig(),
        queue=profile.queues[0],
        node_type=profile.node_types[0],
        nodes=1,
        seconds=3600,
        lead_seconds=300,
        chain=1,
        account="abc123",
        run=RunPaths(root),
        layout=tuple(
            RankPlace(local_rank=i, gpu=None, cores=(2 * i, 2 * i + 1), numa=0, nic=None)
            for i in range(2)
        ),
        geometry=Geometry(pipeline=1, tensor=1, data=2, micro_batch=4, accumulation=1),
        entry=Entry(argv=("train", "{run_yml}"), per="gpu"),
        launch=LaunchPlan(
            argv=ARGV[name],
            rank_variable=rank,
            local_rank_variable=local_rank,
            size_variable=size,
        ),
        directives=()
        if SCHEDULERS.get(name, name) == "local"
        else (Directive(text="--time=1:00:00", origin=ORIGIN),),
        variables=(Variable(name="OMP_NUM_THREADS", value=literal("2"), origin=ORIGIN),),
        rank_variables=(
            Variable(
                name="CACHE", value=(Literal("/tmp/c-"), ShellVar("LOCAL_RANK")), origin=ORIGIN
            ),
        ),
        unset=(),
        master=profile.launcher.master,
        python=python,
        container=(),
        cost=CostEstimate(amount=1.0, unit="node-hours", formula="1 node x 1.00 h x 1 node-hours"),
        warnings=(),
        questions=(),
        not_yet=(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]
