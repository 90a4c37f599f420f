"""A site profile as typed values: one machine, every fact that a batch script needs.

The field names are the keys of `sites/NAME.toml`; `docs/site-profile.md` is generated from this
file. Units stand in names; a time is whole seconds here and a string like "2:00:00" in TOML.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

# metadata of the fields that no file holds: the loader fills them
NOT_IN_FILE = MappingProxyType({"not_in_file": True})

SchedulerKind = Literal["slurm", "lsf", "pbs", "flux", "local"]
LauncherKind = Literal["srun", "jsrun", "openmpi", "spawn"]
BindingStyle = Literal[
    "mask",  # --cpu-bind=mask_cpu:... (LUMI)
    "closest",  # the scheduler puts each rank beside its GPU (Frontier)
    "cores",  # -c with block distribution, cores in order
    "resource-set",  # jsrun
    "rankfile",  # Open MPI
    "wrapper",  # taskset in the rank script
    "none",
]
# does a rank see its own GPU alone, as device 0, or every one of the node?
GpuVisibility = Literal["one", "all"]
MasterAddress = Literal["hostname-ip", "first-host", "lsf-hostfile", "host-list", "localhost"]
EvidenceKind = Literal["official", "user", "derived", "measured", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Identify:
    """How `neox-submit` recognises that it runs on this machine."""

    env: Mapping[str, str] = field(default_factory=dict)  # variable -> value
    hostname: str | None = None  # regular expression for the whole name


@dataclass(frozen=True, kw_only=True)
class Account:
    required: bool = False
    pattern: str | None = None  # regular expression that a whole account name matches
    example: str | None = None  # shown when one is missing or malformed


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    kind: SchedulerKind
    version: str | None = None
    runs_on: Literal["compute", "launch", "submit"] = "compute"  # where the script's body runs
    directives: tuple[str, ...] = ()  # more lines, without prefix: "--network=disable_rdzv_get"
    alloc_flags: tuple[str, ...] = ()  # LSF: joined into the one -alloc_flags line
    gpus_line: str | None = None  # "--gpus-per-node={gpus}" where the site wants one
    whole_node: str | None = None  # the site's word for exclusive nodes: "--exclusive"
    memory_line: str | None = None  # "--mem=0"


@dataclass(frozen=True, kw_only=True)
class Launcher:
    kind: LauncherKind
    binding: BindingStyle
    gpu_visibility: GpuVisibility = "all"
    flags: tuple[str, ...] = ()  # stand on the launch line itself, in this order
    master: MasterAddress
    major_version: int | None = None  # Open MPI 4 and 5 differ
    hosts: tuple[str, ...] = ()  # for launchers without a scheduler
    hostfile: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The GPU as the scheduler counts it: a whole card, a GCD, a tile."""

    kind: str
    arch: str  # sm_90, gfx90a
    memory_gb: float
    peak_tflops: Mapping[str, float]  # by precision: bf16, fp16, fp32
    cores: tuple[str, ...]  # core ranges, GPU 0 first: ["48-55", "56-63", ...]
    islands: tuple[tuple[int, ...], ...] = ()  # GPUs joined by fast links
    nics: tuple[str, ...] = ()  # the NIC of GPU 0, 1, ...; empty where unknown


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """One kind of node. Core numbers are physical cores, as the hardware counts them."""

    name: str = "default"
    anatomy: Literal["stated", "this-machine"] = "stated"  # "this-machine": see machine.py
    cores: int = 0  # required unless anatomy = "this-machine"
    smt: int = 1
    smt_numbering: Literal["far", "near"] = "far"  # siblings of c: c + cores, or smt*c, smt*c + 1
    threads_per_core: int = 1  # that a job uses
    sockets: int = 1
    numa: tuple[str, ...] = ()  # core range of each NUMA domain; none given: one domain
    l3: int | None = None  # cores that share an L3
    reserved: tuple[int, ...] = ()  # cores a job never gets
    memory_gb: float | None = None
    nics: tuple[str, ...] = ()
    gpu: Gpu | None = None

    @property
    def gpus(self) -> int:
        return len(self.gpu.cores) if self.gpu else 0


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Node counts `low` to `high` may run for `seconds`."""

    low: int  # in TOML: nodes = "92-183"
    high: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Limits of one scope of a queue; None where there is none or it is unknown."""

    queued: int | None = None
    eligible: int | None = None
    running: int | None = None
    any: int | None = None


@dataclass(frozen=True, kw_only=True)
class Queue:
    name: str
    select: Literal["queue", "partition", "qos", "none"] = "partition"  # how one asks for it
    default: bool = False
    default_seconds: int = 3600  # asked for when --time is not given; never the maximum
    node_type: str = "default"
    exclusive: bool = True  # whole nodes
    chain: bool = True  # may jobs follow each other here?
    bins: tuple[Bin, ...]  # empty: the site states no limit
    per_job: Caps = Caps()
    per_user: Caps = Caps()
    total: Caps = Caps()
    partition: str | None = None  # for select = "qos": the partition to name beside it


@dataclass(frozen=True, kw_only=True)
class Modules:
    reset: str | None = None  # "module reset", "module purge"
    use: tuple[str, ...] = ()
    load: tuple[str, ...] = ()  # in this order
    prepend: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # VARIABLE -> paths


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Copy the packed Python to node-local disk first."""

    from_nodes: int
    to: str
    needs: str | None = None


@dataclass(frozen=True, kw_only=True)
class PythonPlace:
    kind: Literal["venv", "conda", "container", "packed", "submitting"]
    path: str | None = None  # placeholders allowed; "submitting": the interpreter of neox-submit
    stage: Stage | None = None


@dataclass(frozen=True, kw_only=True)
class EnvWhen:
    """Variables that hold only for some node counts."""

    nodes: str  # "1", "2-", "2-63"
    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Network:
    access: Literal["none", "proxy", "open", "unknown"] = "unknown"  # from compute nodes
    interface: str | None = None
    gb_per_second_per_node: float | None = None


@dataclass(frozen=True, kw_only=True)
class StorageArea:
    path: str
    quota_gb: float | None = None
    purge_days: int | None = None
    compute_access: Literal["rw", "ro", "none"] = "rw"
    needs: str | None = None
    wiped: bool = False


@dataclass(frozen=True, kw_only=True)
class Container:
    kind: Literal["none", "singularity", "apptainer"] = "none"
    image: str | None = None
    binds: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # "--nv", "--rocm"


@dataclass(frozen=True, kw_only=True)
class Signal:
    how: Literal["scheduler", "timer"] = "timer"  # does the scheduler warn, or a timer in job.sh?


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    kind: Literal["cuda", "rocm", "none"] = "none"
    cc: str | None = None
    arch: tuple[str, ...] = ()
    host: Literal["login", "compute"] = "login"


@dataclass(frozen=True, kw_only=True)
class Cost:
    unit: str = "node-hours"
    per_node_hour: float = 1.0  # units that one node costs in an hour


@dataclass(frozen=True, kw_only=True)
class Policy:
    submit: bool = True
    since: str | None = None  # with submit = false: the date, and
    reason: str | None = None  # why
    max_chain: int | None = None
    confirm_node_hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Where a value comes from. The key in [facts] is the value's dotted path."""

    kind: EvidenceKind
    source: str | None = None
    read: str | None = None  # date, "2026-07-22"
    question: str | None = None  # what to ask the user, for kind = "unknown"


@dataclass(frozen=True, kw_only=True)
class Profile:
    schema: int = field(default=1, metadata=NOT_IN_FILE)
    name: str = field(metadata=NOT_IN_FILE)  # the file's stem
    title: str
    status: Literal["draft", "documented", "verified", "retired"]
    identify: Identify = Identify()
    account: Account = Account()
    scheduler: Scheduler
    launcher: Launcher
    node_types: tuple[NodeType, ...]
    queues: tuple[Queue, ...]
    modules: Modules = Modules()
    python: PythonPlace
    env: Mapping[str, str] = field(default_factory=dict)
    env_when: tuple[EnvWhen, ...] = ()
    network: Network = Network()
    storage: Mapping[str, StorageArea] = field(default_factory=dict)
    container: Container = Container()
    signal: Signal = Signal()
    requeue: bool = False
    toolchain: Toolchain = Toolchain()
    cost: Cost = Cost()
    policy: Policy = Policy()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    # dotted path -> "sites/frontier.toml:12"
    origins: Mapping[str, str] = field(default_factory=dict, metadata=NOT_IN_FILE)
    # the profile's file and those it extends, the child first
    files: tuple[str, ...] = field(default=(), metadata=NOT_IN_FILE)
    # dotted paths of the values that need evidence
    numbers: tuple[str, ...] = field(default=(), metadata=NOT_IN_FILE)

    def node_type(self, name: str) -> NodeType:
        return next(node for node in self.node_types if node.name == name)

    def origin(self, path: str) -> str:
        """Where the value of a dotted path was written, or else the nearest table above it."""
        above = nearest_above(path, self.origins)
        return self.origins[above] if above else f"{self.files[0]}:1"

    def fact(self, path: str) -> Fact | None:
        """The evidence for a dotted path: its own, or that of the nearest table above it."""
        above = nearest_above(path, self.facts)
        return self.facts[above] if above else None


def nearest_above(path: str, known: Collection[str]) -> str | None:
    """The longest dotted path in `known` that is `path` or leads to it."""
    above = (p for p in known if path == p or path.startswith((p + ".", p + "[")))
    return max(above, key=len, default=None)
