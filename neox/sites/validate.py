"""What the types of a profile cannot say: ranges inside the node, bins in order, one default."""

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, get_args

from neox.secret_names import names_a_secret
from neox.sites.problems import Report, nearest
from neox.sites.profile import (
    OPTIONAL_TABLES,
    BindingStyle,
    Caps,
    Gpu,
    LauncherKind,
    NodeType,
    Profile,
    Queue,
    SchedulerKind,
)
from neox.sites.ranges import RangeError, parse_cores, parse_nodes, print_cores
from neox.sites.times import print_time

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SILENT_SCHEDULERS = ("pbs", "flux", "local")  # signal no job before its end
_MASTER_OF = {"first-host": "slurm", "lsf-hostfile": "lsf"}
_MASTER_OF |= {"pbs-nodefile": "pbs", "flux-first-host": "flux"}
_HYDRA: tuple[LauncherKind, ...] = ("mpich", "intelmpi", "mvapich")
_BY_RANK_SCRIPT: tuple[LauncherKind, ...] = (
    *("srun", "openmpi", *_HYDRA, "pals", "flux", "pdsh", "torchrun", "spawn"),
)
# what each can be bound by
LAUNCHERS_OF: Mapping[BindingStyle, tuple[LauncherKind, ...]] = MappingProxyType(
    {
        "mask": ("srun", "intelmpi"),
        "closest": ("srun",),
        "cores": ("srun", "openmpi"),
        "resource-set": ("jsrun",),
        "rankfile": ("openmpi",),
        "user-list": ("mpich",),
        "depth": ("pals",),
        "cpu-list": ("pals",),
        "map": ("flux",),
        "mpibind": ("flux",),
        "wrapper": _BY_RANK_SCRIPT,
        "none": _BY_RANK_SCRIPT,
    }
)
# launchers that know one way to a job's nodes
_SCHEDULER_OF: Mapping[str, str] = MappingProxyType(
    {
        "srun": "slurm",
        "jsrun": "lsf",
        "pals": "pbs",
        "flux": "flux",
        "pdsh": "local",
        "spawn": "local",
    }
)
_SHOW_EVERY_GPU = ("openmpi", *_HYDRA, "pals", "pdsh", "torchrun", "spawn")
# by the table's name: what its command may be called, after any folder
PROFILER_COMMANDS = {"nsys": ("nsys",), "rocprof": ("rocprofv3", "rocprofv2", "rocprof")}
T = TypeVar("T", int, str)


def check_profile(profile: Profile, report: Report) -> None:
    """Report every contradiction at the line of the value that is out of place."""
    checks = _Checks(profile, report)
    checks.nodes()
    checks.queues()
    checks.scheduler()
    checks.launcher()
    checks.environment()
    checks.patterns()
    checks.policy()
    checks.python()
    checks.container()
    checks.surroundings()
    checks.profilers()
    checks.facts()


@dataclass(frozen=True)
class _Checks:
    profile: Profile
    report: Report

    def say(self, path: str, text: str) -> None:
        self.report.add(self.profile.origin(path), f"{path}: {text}")

    # --- nodes
    def nodes(self) -> None:
        types = self.profile.node_types
        if not types:
            self.say("node_types", "at least one node type is needed")
        self._unique("node_types", [node.name for node in types])
        for node in types:
            path = "node" if "node" in self.profile.origins else f"node_types.{node.name}"
            self._node(node, path)

    def _node(self, node: NodeType, path: str) -> None:
        stated = node.anatomy == "stated"
        if stated and node.cores < 1:
            self.say(f"{path}.cores", "a stated node has at least 1 core; write cores = ...")
            return
        if not stated:
            self._of_this_machine(node, path)
            return
        self._positive(path, smt=node.smt, sockets=node.sockets, memory_gb=node.memory_gb)
        if not 1 <= node.threads_per_core <= node.smt:
            self.say(f"{path}.threads_per_core", f"is 1 to smt = {node.smt}")
        if node.l3 is not None and (node.l3 < 1 or node.cores % node.l3):
            self.say(f"{path}.l3", f"{node.l3} cores per L3 do not divide {node.cores} cores")
        self._inside(f"{path}.reserved", node.reserved, node)
        if len(set(node.reserved)) == node.cores:
            self.say(f"{path}.reserved", "every core is reserved")
        self._domains(node, path)
        if node.gpu:
            self._gpu(node.gpu, node, f"{path}.gpu")

    def _of_this_machine(self, node: NodeType, path: str) -> None:
        given = [name for name in ("cores", "numa") if f"{path}.{name}" in self.profile.origins]
        for name in given:
            self.say(f"{path}.{name}", 'is this machine\'s own with anatomy = "this-machine"')
        if node.gpu or node.reserved:
            self.say(path, 'GPUs and reserved cores need anatomy = "stated", with cores and numa')

    def _domains(self, node: NodeType, path: str) -> None:
        lists = [self._cores(f"{path}.numa", text, node) for text in node.numa]
        cores = [core for domain in lists for core in domain]
        if twice := _repeated(cores):
            self.say(f"{path}.numa", f"cores {print_cores(twice)} are in two domains")
        if node.numa and (left := set(range(node.cores)) - set(cores)):
            self.say(f"{path}.numa", f"cores {print_cores(left)} are in no domain")

    def _gpu(self, gpu: Gpu, node: NodeType, path: str) -> None:
        self._positive(path, memory_gb=gpu.memory_gb, **gpu.peak_tflops)
        lists = [set(self._cores(f"{path}.cores", text, node)) for text in gpu.cores]
        for index, cores in enumerate(lists):
            if cores and cores <= set(node.reserved):
                self.say(f"{path}.cores", f"GPU {index} has reserved cores alone")
            for other, others in enumerate(lists[:index]):
                if cores != others and cores & others:
                    shared = print_cores(cores & others)
                    self.say(
                        f"{path}.cores",
                        f"GPU {other} and {index} overlap on {shared};"
                        " lists are the same (GPUs that share a domain) or apart",
                    )
        self._islands(gpu, path)
        if gpu.nics and len(gpu.nics) != len(gpu.cores):
            self.say(f"{path}.nics", f"{len(gpu.nics)} NICs for {len(gpu.cores)} GPUs")
        for nic in gpu.nics:
            if nic not in node.nics:
                self.say(f"{path}.nics", f"{nic!r} is not among the node's nics")

    def _islands(self, gpu: Gpu, path: str) -> None:
        members = [index for island in gpu.islands for index in island]
        for index in members:
            if not 0 <= index < len(gpu.cores):
                self.say(
                    f"{path}.islands",
                    f"there is no GPU {index}; they are 0 to {len(gpu.cores) - 1}",
                )
        if twice := _repeated(members):
            self.say(f"{path}.islands", f"GPU {print_cores(twice)} is in two islands")

    def _cores(self, path: str, text: str, node: NodeType) -> tuple[int, ...]:
        try:
            cores = parse_cores(text)
        except RangeError as error:
            self.say(path, str(error))
            return ()
        self._inside(path, cores, node)
        return cores

    def _inside(self, path: str, cores: Iterable[int], node: NodeType) -> None:
        outside = [core for core in cores if not 0 <= core < node.cores]
        if outside:
            numbers = ",".join(map(str, outside))
            self.say(path, f"cores {numbers} are outside the node; it has 0-{node.cores - 1}")

    # --- queues
    def queues(self) -> None:
        queues = self.profile.queues
        if not queues:
            self.say("queues", "at least one queue is needed")
            return
        self._unique("queues", [queue.name for queue in queues])
        defaults = [queue.name for queue in queues if queue.default]
        if len(defaults) != 1:
            which = f"{', '.join(defaults)} are" if defaults else "none is"
            last = f"queues.{defaults[-1]}.default" if defaults else "queues"
            self.say(last, f"{which} the default; mark exactly one with default = true")
        for queue in queues:
            self._queue(queue, f"queues.{queue.name}")

    def _queue(self, queue: Queue, path: str) -> None:
        names = [node.name for node in self.profile.node_types]
        if queue.node_type not in names:
            self.say(f"{path}.node_type", f"{queue.node_type!r}{nearest(queue.node_type, names)}")
        if queue.partition and queue.select != "qos":
            self.say(f"{path}.partition", 'goes with select = "qos" alone')
        for scope, caps in (
            ("per_job", queue.per_job),
            ("per_user", queue.per_user),
            ("total", queue.total),
        ):
            self._caps(f"{path}.{scope}", caps)
        for before, after in zip(queue.bins, queue.bins[1:], strict=False):
            if after.low <= before.high:
                spans = f"{before.low}-{before.high} and {after.low}-{after.high}"
                self.say(f"{path}.bins", f"{spans} overlap or are out of order")
        shortest = min((part.seconds for part in queue.bins), default=queue.default_seconds)
        if queue.default_seconds > shortest:
            default, limit = print_time(queue.default_seconds), print_time(shortest)
            self.say(f"{path}.default_time", f"{default} exceeds the {limit} of a bin")

    def _caps(self, path: str, caps: Caps) -> None:
        limits = {"queued": caps.queued, "eligible": caps.eligible, "running": caps.running}
        self._positive(path, **limits, any=caps.any)

    # --- the rest
    def scheduler(self) -> None:
        scheduler, kind = self.profile.scheduler, self.profile.scheduler.kind
        if scheduler.chunk and kind != "pbs":
            self.say("scheduler.chunk", f"is of PBS, and this is {kind}")
        if scheduler.alloc_flags and kind != "lsf":
            self.say("scheduler.alloc_flags", f"is of LSF, and this is {kind}")
        if scheduler.gpus_line and kind == "pbs":
            self.say(
                "scheduler.gpus_line", 'PBS counts GPUs in `chunk`: write "ngpus={gpus}" there'
            )
        if self.profile.requeue and kind == "flux":
            self.say("requeue", "Flux starts no job again by itself: leave it out")
        if self.profile.signal.how == "scheduler" and kind in _SILENT_SCHEDULERS:
            self.say("signal.how", f'{kind} gives a script no warning of its end: write "timer"')

    def launcher(self) -> None:
        launcher = self.profile.launcher
        ours = get_args(LauncherKind)
        fits = LAUNCHERS_OF[launcher.binding]
        if launcher.kind in ours and launcher.kind not in fits:
            self.say("launcher.binding", f"{launcher.binding!r} is for {' or '.join(fits)}")
        if launcher.binding == "closest" and launcher.gpu_visibility != "one":
            self.say("launcher.gpu_visibility", '"closest" shows a rank its own GPU: write "one"')
        scheduler = self.profile.scheduler.kind
        wanted = _SCHEDULER_OF.get(launcher.kind, scheduler)
        if wanted != scheduler and scheduler in get_args(SchedulerKind):
            text = f'{launcher.kind!r} finds its nodes with scheduler.kind = "{wanted}" alone'
            self.say("launcher.kind", f"{text}, and this is {scheduler}")
        if launcher.gpu_visibility == "one" and launcher.kind in _SHOW_EVERY_GPU:
            text = f'{launcher.kind} hides no GPU from a rank: write "all"'
            self.say("launcher.gpu_visibility", text)
        if launcher.binding == "mpibind" and launcher.gpu_visibility != "one":
            self.say("launcher.gpu_visibility", 'mpibind shows a rank its own GPU: write "one"')
        master = _MASTER_OF.get(launcher.master, scheduler)
        if master != scheduler:
            self.say(
                "launcher.master", f"{launcher.master!r} asks {master}, and this is {scheduler}"
            )
        has_gpus = any(node.gpu for node in self.profile.node_types)
        if launcher.binding == "closest" and not has_gpus:
            self.say("launcher.binding", '"closest" needs GPUs in the node')

    def environment(self) -> None:
        names = [("env", name) for name in self.profile.env]
        for index, when in enumerate(self.profile.env_when):
            path = f"env.when[{index}]"
            names += [(f"{path}.set", name) for name in when.set]
            names += [(f"{path}.unset", name) for name in when.unset]
            try:
                parse_nodes(when.nodes)
            except RangeError as error:
                self.say(f"{path}.nodes", str(error))
        names += [("modules.prepend", name) for name in self.profile.modules.prepend]
        for path, name in names:
            if not _VARIABLE_NAME.fullmatch(name):
                self.say(path, f"{name!r} is no name of an environment variable")
            elif names_a_secret(name) and not path.endswith(".unset"):
                text = "a secret has no place in a profile, which scripts show; export it instead"
                self.say(f"{path}.{name}", text)

    def patterns(self) -> None:
        accounts = {f"queues.{q.name}.account": q.account for q in self.profile.queues if q.account}
        for path, text in (
            *((f"{path}.pattern", account.pattern) for path, account in accounts.items()),
            ("account.pattern", self.profile.account.pattern),
            ("identify.hostname", self.profile.identify.hostname),
        ):
            try:
                re.compile(text or "")
            except re.error as error:
                self.say(path, f"not a regular expression: {error}")

    def policy(self) -> None:
        policy = self.profile.policy
        self._positive("policy", max_chain=policy.max_chain)
        if not policy.submit and not (policy.since and policy.reason):
            self.say("policy", "submit = false says since when (`since`) and why (`reason`)")
        if policy.since and not _is_date(policy.since):
            self.say("policy.since", f'{policy.since!r} is not a date; write "2024-11-15"')

    def python(self) -> None:
        python, container = self.profile.python, self.profile.container
        if python.kind != "submitting" and not python.path:
            self.say("python.path", f'is needed with kind = "{python.kind}"')
        if python.kind == "packed":
            self.say("python.kind", "nothing unpacks a Python on the nodes yet; name a venv there")
        if python.kind == "container" and container.kind == "none":
            self.say("python.kind", '"container" needs a [container] with kind and image')

    def container(self) -> None:
        container, launcher = self.profile.container, self.profile.launcher
        if container.kind == "none":
            return
        if not container.image:
            self.say("container.image", f'is needed with kind = "{container.kind}"')
        if self.profile.python.kind != "container":
            self.say("python.kind", 'is "container", with a path inside, where there is one')
        if container.kind in ("pyxis", "container-engine") and launcher.kind != "srun":
            self.say("container.kind", f"{container.kind!r} is flags of srun, not {launcher.kind}")
        if container.kind == "container-engine" and container.binds:
            self.say("container.binds", f"stand in {container.image} itself, as `mounts`")

    def surroundings(self) -> None:
        network, caches = self.profile.network, self.profile.caches
        if network.proxy and network.access != "proxy":
            self.say("network.proxy", 'goes with access = "proxy"')
        if caches.node and "{job_id}" not in caches.node:
            self.say("caches.node", "holds {job_id}, or jobs on one node share what they compile")
        home = self.profile.storage.get("home")
        read_only = home is not None and home.compute_access != "rw"
        if read_only and self.profile.toolchain.arch and not caches.kernels:
            self.say("caches.kernels", "is needed: a job that builds kernels cannot write the home")

    def profilers(self) -> None:
        for name, profiler in self.profile.profilers.items():
            path = f"profilers.{name}"
            if name not in PROFILER_COMMANDS:
                self.say(path, f"is no profiler{nearest(name, PROFILER_COMMANDS)}")
                continue
            known, command = PROFILER_COMMANDS[name], profiler.command.rpartition("/")[2]
            if command not in known:
                self.say(f"{path}.command", f"{command!r}{nearest(command, known)}")

    def facts(self) -> None:
        known = {path for path in self.profile.origins if not path.startswith("facts.")}
        for path, fact in self.profile.facts.items():
            where = f"facts.{path}"
            # a question may be about a value that nobody could state
            about = path.rpartition(".")[0] if fact.kind == "unknown" and "." in path else path
            of_table = fact.kind == "unknown" and path in OPTIONAL_TABLES  # or about all of one
            own = self.profile.origin(where).startswith(f"{self.profile.files[0]}:")
            if own and about not in known and not of_table:  # an inherited one may be about less
                self.say(where, f"there is no value{nearest(path, known)}")
            if fact.read and not _is_date(fact.read):
                self.say(where, f'read = {fact.read!r} is not a date; write "2026-07-22"')
            if fact.kind == "unknown" and not fact.question:
                self.say(where, "an unknown fact has a `question` for the person who can answer")
            if fact.kind != "unknown" and not (fact.source and fact.read):
                self.say(where, f'a fact of kind "{fact.kind}" has a `source` and a `read` date')

    def _unique(self, path: str, names: list[str]) -> None:
        for name in _repeated(names):
            self.say(f"{path}.{name}", "the name is taken twice")

    def _positive(self, path: str, **numbers: float | None) -> None:
        for name, number in numbers.items():
            if number is not None and number <= 0:
                self.say(f"{path}.{name}", f"{number} is not above zero")


def _repeated(items: Iterable[T]) -> list[T]:
    return [item for item, times in Counter(items).items() if times > 1]


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
