"""What the script templates print beside the plan itself: small values computed from it."""

import re
from pathlib import PurePath
from typing import Literal as Literally

import neox
from neox.frozen import Frozen, frozen
from neox.sites.profile import NodeType, Profile
from neox.sites.ranges import print_cores
from neox.submit.launchers import program
from neox.submit.layout import RankPlace, threads_of
from neox.submit.plan import NodeScript, Plan
from neox.submit.profiler_page import ProfilerPage, profiler_page
from neox.submit.quoting import Shell, shell_text
from neox.submit.request import excluded
from neox.submit.schedulers import scheduler
from neox.submit.words import Literal, ShellVar, Word, literal

LOCAL_HOST = "127.0.0.1"
EVERY_LOG_UP_TO = 256  # ranks; beyond it a folder of a file for each serves nobody
RANK_SCRIPT: Word = (ShellVar("link"), Literal("/rank.sh"))
RUN_YML: Word = (ShellVar("link"), Literal("/run.yml"))
STAGE_SECONDS = 600  # to unpack a Python on every node
UPDATES_LINKS = frozenset({"slurm"})  # schedulers that change where a waiting job may run
NOT_FOR_AGAIN = frozenset({"--print", "--yes", "-y", "--dry-run", "--json", "--here"})
SITE_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


@frozen
class Timer(Frozen):
    """Seconds until the stop, and from there to the end where no scheduler sees to that."""

    before_stop: int
    before_end: int | None


@frozen
class Prepend(Frozen):
    name: Shell
    path: Shell


@frozen
class JobPage(Frozen):
    link: int
    headline: str
    version: str
    again: Shell
    prefix: Shell
    timer: Timer | None
    has_modules: bool
    node_path: str  # of the profile's table of these nodes
    module_reset: Shell | None
    prepends: tuple[Prepend, ...]
    python_command: tuple[Word, ...]
    first_host: str
    layout_line: str
    launcher: str
    spawn: bool
    over_ssh: bool
    where: Literally["machine"]
    node_starts: Literally["ranks"]
    launch: tuple[Word, ...]
    preflight: tuple[Word, ...]  # empty where no node is tried
    on_each_node: tuple[Word | Shell, ...]
    node_of_list: Shell  # a node's name in its ranks, from the one in the list
    nodes: Shell  # where no scheduler tells them
    excluded: str  # nodes that a directive keeps every link off
    keeps_off: bool


@frozen
class NodePage(Frozen):
    link: int
    launcher: str
    where: Literally["node"]
    node_starts: Literally["ranks", "torchrun"]
    over_ssh: bool
    number: Shell
    sent: tuple[Word, ...]  # prints the variables that go to a node
    torchrun: tuple[Word, ...]


@frozen
class RankPage(Frozen):
    link: int
    launcher: str
    needed_variables: Shell
    size: Shell
    node: Shell
    node_by_name: bool
    few_logs: bool
    checks_cores: bool
    wrapper: bool
    thread_to_core: Shell
    core_lists: Shell
    entry: tuple[Word | Shell, ...]
    profiler: ProfilerPage | None
    preflight: tuple[Word, ...]


def job_page(plan: Plan, link: int) -> JobPage:
    modules, node = plan.site.modules, plan.launch.node
    reset = modules.reset.split() if modules.reset else []
    return JobPage(
        link=link,
        headline=f"{headline(plan)}; link {link}",
        version=neox.__version__,
        again=Shell(" ".join(shell_text(word) for word in command_again(plan.request.argv))),
        prefix=Shell(scheduler(plan.site.scheduler.kind).prefix),
        timer=_timer(plan),
        has_modules=bool(
            reset or modules.use or modules.load or plan.node_type.modules or _profiler_module(plan)
        ),
        node_path=_node_path(plan),
        module_reset=Shell(" ".join(map(shell_text, reset))) if reset else None,
        prepends=_prepends(plan.site),
        python_command=(*plan.job_container, (ShellVar("python"),)),
        first_host=_first_host(plan),
        layout_line=layout_line(plan),
        launcher=launcher_name(plan),
        spawn=plan.site.launcher.kind == "spawn",
        over_ssh=node is not None and node.over_ssh,
        where="machine",
        node_starts="ranks",
        launch=_launch(plan),
        preflight=_preflight(plan),
        on_each_node=_on_each_node(plan),
        node_of_list=Shell("$node" if plan.site.launcher.kind == "srun" else "${node%%.*}"),
        nodes=Shell(" ".join(map(shell_text, plan.hosts or (LOCAL_HOST,)))),
        excluded=",".join(excluded(plan.request)),
        keeps_off=plan.job.signal and plan.site.scheduler.kind in UPDATES_LINKS,
    )


def _on_each_node(plan: Plan) -> tuple[Word | Shell, ...]:
    """rank.sh with the argument of the function that this stands in."""
    if plan.stage is None or plan.preflight is None:
        return ()
    limit = map(literal, ("exec", "timeout", "--kill-after=10", f"{STAGE_SECONDS}"))
    return (*limit, *plan.preflight.launch.argv, RANK_SCRIPT, Shell('"$1"'))


def _preflight(plan: Plan) -> tuple[Word, ...]:
    if plan.preflight is None:
        return ()
    limit = ("exec", "timeout", "--kill-after=10", str(plan.preflight.seconds))
    return (*map(literal, limit), *plan.preflight.launch.argv, RANK_SCRIPT, literal("preflight"))


def _launch(plan: Plan) -> tuple[Word, ...]:
    """The launch line with what it starts; pdsh names that itself, and is waited for."""
    node = plan.launch.node
    if node is None:
        return (literal("exec"), *plan.launch.argv, RANK_SCRIPT)
    if node.over_ssh:
        return plan.launch.argv
    return (literal("exec"), *plan.launch.argv, (ShellVar("link"), Literal("/node.sh")))


def node_page(plan: Plan, link: int, node: NodeScript) -> NodePage:
    number = "0" if node.number is None else f"${node.number}"
    return NodePage(
        link=link,
        launcher=launcher_name(plan),
        where="node",
        node_starts=node.starts,
        over_ssh=node.over_ssh,
        number=Shell(number),
        sent=tuple(map(literal, ("declare", "-px", *plan.launch.forward))),
        torchrun=_torchrun(plan, node),
    )


def _torchrun(plan: Plan, node: NodeScript) -> tuple[Word, ...]:
    """One agent of its static rendezvous, which starts rank.sh once for each rank of its node."""
    counts = (f"--nnodes={plan.nodes}", f"--nproc-per-node={plan.ranks_per_node}")
    return (
        *((ShellVar("python"),), *map(literal, ("-P", "-m", "torch.distributed.run", *counts))),
        (Literal("--node-rank="), ShellVar("node_rank")),
        (Literal("--master-addr="), ShellVar("MASTER_ADDR")),
        (Literal("--master-port="), ShellVar("MASTER_PORT")),
        *map(literal, ("--max-restarts=0", *node.arguments, "--no-python")),
        (ShellVar("link"), Literal("/rank.sh")),
    )


def launcher_name(plan: Plan) -> str:
    """What starts the ranks, as comments and messages call it."""
    return PurePath(program(plan.site)).name


def rank_page(plan: Plan, link: int) -> RankPage:
    launch, node = plan.launch, plan.node_type
    needed = (launch.rank_variable, launch.local_rank_variable, launch.size_variable)
    binding = plan.site.launcher.binding
    return RankPage(
        link=link,
        launcher=launcher_name(plan),
        needed_variables=Shell(" ".join((*needed, "NEOX_JOB_ID", "MASTER_ADDR", "MASTER_PORT"))),
        size=Shell(f"${{{launch.size_variable}:-${{{launch.size_else}-}}}}"),
        node=_node_name(plan),
        node_by_name=plan.site.launcher.kind != "srun",
        few_logs=plan.ranks > EVERY_LOG_UP_TO,
        checks_cores=binding not in ("none", "mpibind"),
        wrapper=binding == "wrapper",
        thread_to_core=Shell(_thread_to_core(node)),
        core_lists=Shell(
            " ".join(_cpus(node, place, binding == "wrapper") for place in plan.layout)
        ),
        entry=(*_rank_python(plan), *map(literal, ("-P", "-m", "neox.run.cli")), *_entry(plan)),
        profiler=profiler_page(plan),
        preflight=_rank_preflight(plan),
    )


def _rank_preflight(plan: Plan) -> tuple[Word, ...]:
    if plan.preflight is None:
        return ()
    python = (*plan.container, (ShellVar("python"),))
    words = ("-P", "-m", "neox.run.cli", "preflight")
    return (*python, *map(literal, words), RUN_YML, literal("--node"))


def headline(plan: Plan) -> str:
    """ "20B on OLCF Frontier: 12 nodes x 8 ranks = tensor 2 x pipeline 4 x data 12"."""
    nodes = f"{plan.nodes} node{'s' if plan.nodes > 1 else ''}"
    ranks = f"{plan.ranks_per_node} rank{'s' if plan.ranks_per_node > 1 else ''}"
    text = f"{plan.run.name} on {plan.site.title}: {nodes} x {ranks}"
    cut = plan.geometry
    if cut is None:
        return text
    return f"{text} = tensor {cut.tensor} x pipeline {cut.pipeline} x data {cut.data}"


def layout_line(plan: Plan) -> str:
    """ "local rank 0-7 on GPU 4 5 2 3 6 7 0 1, 7 cores each"."""
    last = plan.ranks_per_node - 1
    ranks = f"local rank 0-{last}" if last else "one rank a node"
    gpus = [str(place.gpu) for place in plan.layout if place.gpu is not None]
    where = f" on GPU {' '.join(gpus)}" if gpus else ""
    if plan.site.launcher.binding == "none":
        return f"{ranks}{where}, not bound to cores"
    return f"{ranks}{where}, {len(plan.layout[0].cores)} cores each"


def command_again(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command that prints this script again, and does nothing else."""
    typed = argv[1:] if argv and argv[0].endswith("neox-submit") else argv
    return ("neox-submit", *(word for word in typed if word not in NOT_FOR_AGAIN), "--print")


def _rank_python(plan: Plan) -> tuple[Word | Shell, ...]:
    """How a rank starts Python: in the container where there is one, by the profiler if any."""
    profiler = (Shell('"${profiler[@]}"'),) if plan.profile and plan.profile.wrap else ()
    return (*plan.container, *profiler, (ShellVar("python"),))


def _profiler_module(plan: Plan) -> bool:
    return plan.profile is not None and bool(plan.profile.module or plan.profile.unload)


def _node_path(plan: Plan) -> str:
    one = len(plan.site.node_types) == 1
    return "node.modules" if one else f"node_types.{plan.node_type.name}.modules"


def _timer(plan: Plan) -> Timer | None:
    if not plan.job.signal or not (plan.site.signal.how == "timer" or plan.request.here):
        return None
    nobody_ends_it = plan.site.scheduler.kind == "local"
    return Timer(
        before_stop=plan.seconds - plan.lead_seconds,
        before_end=plan.lead_seconds if nobody_ends_it else None,
    )


def _prepends(site: Profile) -> tuple[Prepend, ...]:
    """In reverse, because each goes in front of the ones before it."""
    return tuple(
        Prepend(name=Shell(name), path=_site_path(path))
        for name, paths in site.modules.prepend.items()
        for path in reversed(paths)
    )


def _site_path(path: str) -> Shell:
    """A path of a profile, in which $NAME stands for a variable that a module sets."""
    pieces = SITE_VARIABLE.split(path)  # text, name, text, name, ..., text
    printed = (
        f'"${{{piece}-}}"' if number % 2 else shell_text(piece)
        for number, piece in enumerate(pieces)
        if piece
    )
    return Shell("".join(printed))


def _first_host(plan: Plan) -> str:
    hosts = plan.hosts or plan.request.hosts or plan.site.launcher.hosts
    return hosts[0] if plan.master == "host-list" and hosts else LOCAL_HOST


def _node_name(plan: Plan) -> Shell:
    """Slurm may call a node otherwise than the node itself does."""
    if plan.site.launcher.kind == "srun":
        return Shell("${SLURMD_NODENAME:-${HOSTNAME%%.*}}")
    return Shell("$(uname -n)")  # HOSTNAME may have come from another node with the environment


def _thread_to_core(node: NodeType) -> str:
    """Arithmetic that turns the number of a hardware thread into that of its core."""
    return f"% {node.cores}" if node.smt_numbering == "far" else f"/ {node.smt}"


def _cpus(node: NodeType, place: RankPlace, every_thread: bool) -> str:
    if not every_thread:
        return print_cores(place.cores)
    return print_cores(threads_of(node, place.cores))


def _entry(plan: Plan) -> tuple[Word, ...]:
    return tuple(RUN_YML if text == "{run_yml}" else literal(text) for text in plan.entry.argv)
