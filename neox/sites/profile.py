"""A site profile as typed values: one machine, every fact that a batch script needs.

The field names are the keys of `sites/NAME.toml`; `docs/site-profile.md` is generated from this
file. Units stand in names; a time is whole seconds here and a string like "2:00:00" in TOML.
"""

from collections.abc import Collection, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal

from neox.frozen import Frozen, frozen

# metadata of the fields that no file holds: the loader fills them
NOT_IN_FILE = MappingProxyType({"not_in_file": True})

SchedulerKind = Literal["slurm", "lsf", "pbs", "flux", "local"]
LauncherKind = Literal[
    "srun",
    "jsrun",
    "openmpi",
    "mpich",  # Hydra's mpiexec
    "intelmpi",  # Hydra's mpiexec with Intel's variables
    "mvapich",  # Hydra's mpiexec with MVAPICH's
    "pals",  # mpiexec of HPE's PALS
    "flux",  # flux run
    "pdsh",  # ssh to every node, which starts its own ranks
    "torchrun",  # one torchrun a node, started by the scheduler's own launcher or by pdsh
    "spawn",
]
BindingStyle = Literal[
    "mask",  # --cpu-bind=mask_cpu:... (LUMI), I_MPI_PIN_DOMAIN
    "closest",  # the scheduler puts each rank beside its GPU (Frontier)
    "cores",  # -c with block distribution, cores in order
    "resource-set",  # jsrun
    "rankfile",  # Open MPI
    "user-list",  # Hydra: -bind-to user:0+1,2+3
    "depth",  # PALS: --depth and --cpu-bind depth, cores in order
    "cpu-list",  # PALS: --cpu-bind list:1-8:9-16
    "map",  # flux run: -o cpu-affinity=map:...
    "mpibind",  # flux run: the centre's mpibind plugin maps ranks, cores and GPUs
    "wrapper",  # taskset in the rank script
    "none",
]
# does a rank see its own GPU alone, as device 0, or every one of the node?
GpuVisibility = Literal["one", "all"]
MasterAddress = Literal[
    "hostname-ip",
    "first-host",
    "lsf-hostfile",
    "pbs-nodefile",
    "flux-first-host",
    "host-list",
    "localhost",
]
# a profile may do without them, and ask what would stand in them
OPTIONAL_TABLES = frozenset({"account", "caches", "container", "cost", "modules", "network"})
EvidenceKind = Literal["official", "user", "derived", "measured", "unknown"]


@frozen
class Identify(Frozen):
    """How `neox-submit` recognises that it runs on this machine."""

    env: Mapping[str, str] = field(default_factory=dict)  # variable -> value
    hostname: str | None = None  # regular expression for the whole name


@frozen
class Account(Frozen):
    """What the centre bills: `--account`, and how one looks."""

    required: bool = False  # no job without one
    pattern: str | None = None  # regular expression that a whole account name matches
    example: str | None = None  # shown when one is missing or malformed
    # comment: a cluster that reads who pays from --comment (Slurm)
    option: Literal["account", "comment"] = "account"


@frozen
class Scheduler(Frozen):
    """Who runs batch jobs, and the site's own words in a job's header."""

    # slurm, lsf, pbs, flux, local (a job is a process of the submitting machine), or a plugin's
    kind: str
    version: str | None = None  # as the centre states it
    runs_on: Literal["compute", "launch", "submit"] = "compute"  # where the script's body runs
    directives: tuple[str, ...] = ()  # more lines, without prefix: "--network=disable_rdzv_get"
    alloc_flags: tuple[str, ...] = ()  # LSF: joined into the one -alloc_flags line
    # PBS: what each node of -l select brings: "system=polaris", "ncpus={cpus}", "ngpus={gpus}"
    chunk: tuple[str, ...] = ()
    gpus_line: str | None = None  # "--gpus-per-node={gpus}" where the site wants one
    # the site's words for exclusive nodes: "--exclusive"; PBS: "-l place=scatter:excl"
    whole_node: str | None = None
    memory_line: str | None = None  # "--mem=0" where whole nodes do not bring all their memory


@frozen
class Launcher(Frozen):
    """How the ranks of a job start, and how they are bound to cores and GPUs."""

    # srun, jsrun, openmpi, mpich, intelmpi, mvapich, pals, flux, pdsh, torchrun, spawn (job.sh
    # starts the ranks itself, on one machine), or a plugin's
    kind: str
    # mask: --cpu-bind=mask_cpu or I_MPI_PIN_DOMAIN; closest: Slurm puts a rank beside its GPU;
    # cores: -c and block:block; resource-set: jsrun; rankfile: Open MPI; user-list: MPICH; depth,
    # cpu-list: PALS; map: flux run; mpibind: its plugin; wrapper: taskset in rank.sh; none
    binding: BindingStyle
    # one: a rank sees its own GPU alone, as device 0; all: every one of the node
    gpu_visibility: GpuVisibility = "all"
    flags: tuple[str, ...] = ()  # stand on the launch line itself, in this order
    # hostname-ip: of the node that runs job.sh; first-host: of the job, by name (Slurm);
    # lsf-hostfile: the first compute host; pbs-nodefile: its first line; flux-first-host: rank 0's
    # node, asked of Flux; host-list: the first host named; localhost
    master: MasterAddress
    # what makes a host's name the one of its fast network: "i" at JSC; one that begins with a dot,
    # ".hsn.cm.aurora.alcf.anl.gov", takes the place of the domain that the name may have
    master_suffix: str = ""
    command: str | None = None  # the program, where it is not the kind's own: a name or a path
    major_version: int | None = None  # Open MPI 4 and 5 differ
    hosts: tuple[str, ...] = ()  # for launchers without a scheduler
    hostfile: str | None = None  # the same as a file, "NAME slots=N" a line


@frozen
class Gpu(Frozen):
    """The GPU as the scheduler counts it: a whole card, a GCD, a tile."""

    kind: str  # for people: "MI250X GCD"
    arch: str  # sm_90, gfx90a
    memory_gb: float  # of one
    peak_tflops: Mapping[str, float]  # by precision: bf16, fp16, fp32
    cores: tuple[str, ...]  # core ranges, GPU 0 first: ["48-55", "56-63", ...]
    islands: tuple[tuple[int, ...], ...] = ()  # GPUs joined by fast links
    nics: tuple[str, ...] = ()  # the NIC of GPU 0, 1, ...; empty where unknown


@frozen
class NodeType(Frozen):
    """One kind of node. Core numbers are physical cores, as the hardware counts them."""

    name: str = "default"  # what a queue's node_type refers to
    # stated: by the keys below; this-machine: as many cores as the machine that submits
    anatomy: Literal["stated", "this-machine"] = "stated"
    cores: int = 0  # required unless anatomy = "this-machine"
    smt: int = 1  # hardware threads of a core
    # threads of core c: far: c, c + cores ...; near: smt * c, smt * c + 1 ...
    smt_numbering: Literal["far", "near"] = "far"
    threads_per_core: int = 1  # that a job uses
    sockets: int = 1  # packages
    numa: tuple[str, ...] = ()  # core range of each NUMA domain; none given: one domain
    l3: int | None = None  # cores that share an L3
    reserved: tuple[int, ...] = ()  # cores a job never gets
    memory_gb: float | None = None  # of a node
    nics: tuple[str, ...] = ()  # network adapters by name
    gpu: Gpu | None = None
    modules: tuple[str, ...] = ()  # that such nodes want, loaded before [modules] load

    @property
    def gpus(self) -> int:
        return len(self.gpu.cores) if self.gpu else 0


@frozen
class Bin(Frozen):
    """A range of node counts, and how long such a job may run."""

    low: int  # a range of node counts, "92-183"
    high: int
    seconds: int  # the longest walltime of such a job


@frozen
class Caps(Frozen):
    """Limits of one scope of a queue: of a job, of a user, of everybody; left out where unknown."""

    queued: int | None = None  # waiting and running together
    eligible: int | None = None  # waiting with a priority that grows
    running: int | None = None  # at once
    any: int | None = None  # in any state


@frozen
class Queue(Frozen):
    """What may be asked for: a partition, queue or QOS, with its limits."""

    name: str  # as the scheduler knows it
    select: Literal["queue", "partition", "qos", "none"] = "partition"  # how one asks for it
    default: bool = False  # one queue is: the one that a job takes without --queue
    default_seconds: int = 3600  # asked for when --time is not given; never the maximum
    node_type: str = "default"  # the name of its nodes' type
    exclusive: bool = True  # whole nodes
    chain: bool = True  # may jobs follow each other here?
    bins: tuple[Bin, ...]  # empty: the site states no limit
    per_job: Caps = Caps()
    per_user: Caps = Caps()
    total: Caps = Caps()
    partition: str | None = None  # for select = "qos": the partition to name beside it
    # the scheduler's name for it, where several entries here, with nodes of their own, share one
    known_as: str | None = None
    # of nodes, all of them asked for: --constraint=a&b (Slurm), --requires=a&b (Flux), in the
    # chunk (PBS)
    features: tuple[str, ...] = ()
    account: Account | None = None  # in place of [account], where an account is for some nodes

    @property
    def word(self) -> str:
        """What the scheduler calls it."""
        return self.known_as or self.name


@frozen
class Modules(Frozen):
    """What job.sh does with environment modules, before anything else runs."""

    reset: str | None = None  # "module reset", "module purge"
    use: tuple[str, ...] = ()  # module use PATH
    load: tuple[str, ...] = ()  # in this order
    prepend: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # VARIABLE -> paths


@frozen
class Stage(Frozen):
    """A Python on the node's own disk, which many nodes start faster from.

    Each node unpacks the archive once, its ranks start that Python, and it is removed at the end.
    Without an archive a large job is only warned.
    """

    from_nodes: int  # for jobs of so many nodes and more
    to: str  # a folder of each node
    # a tar of the folder that holds bin/python, packed or not: tar -C VENV -cf FILE .
    archive: str | None = None
    # read: each node reads the archive where it lies; sbcast: Slurm hands it from node to node
    how: Literal["read", "sbcast"] = "read"
    needs: str | None = None  # the node feature that brings the disk


@frozen
class PythonPlace(Frozen):
    """Which Python the ranks run; `--python PATH` overrides it."""

    # submitting: the interpreter that runs neox-submit
    kind: Literal["venv", "conda", "container", "packed", "submitting"]
    path: str | None = None  # of the interpreter; in a container, as seen inside
    stage: Stage | None = None


@frozen
class EnvWhen(Frozen):
    """Variables that hold only for some node counts."""

    nodes: str  # "1", "2-", "2-63"
    set: Mapping[str, str] = field(default_factory=dict)  # over those of [env]
    unset: tuple[str, ...] = ()  # by name


@frozen
class Network(Frozen):
    """What the compute nodes reach, and how fast."""

    # from compute nodes to the internet; with none, Hugging Face and W&B are told to stay offline
    access: Literal["none", "proxy", "open", "unknown"] = "unknown"
    proxy: str | None = None  # for access = "proxy": "http://proxy.example.org:3128"
    no_proxy: tuple[str, ...] = ()  # hosts that are reached without it
    interface: str | None = None  # that ranks meet on
    gb_per_second_per_node: float | None = None  # into the network, one way


@frozen
class StorageArea(Frozen):
    """A file system; the area named `run` holds run directories where -o says nothing else."""

    path: str  # with {user}, {account}, {home}
    quota_gb: float | None = None  # as a project starts
    purge_days: int | None = None  # files untouched for so long are deleted
    compute_access: Literal["rw", "ro", "none"] = "rw"  # from compute nodes
    needs: str | None = None  # the node feature or flag that brings it
    wiped: bool = False  # at the end of each job


@frozen
class Container(Frozen):
    """The image that the ranks' Python lives in.

    singularity, apptainer, charliecloud and shifter are commands that stand before Python in each
    rank. pyxis and container-engine are flags of srun: whole ranks run inside.
    """

    # pyxis: srun --container-image (Enroot); container-engine: srun --environment (CSCS)
    kind: Literal[
        "none",
        "singularity",
        "apptainer",
        "charliecloud",
        "shifter",
        "pyxis",
        "container-engine",
    ] = "none"
    # a .sif or .sqsh file, a folder (charliecloud), a name (shifter), an .toml (container-engine)
    image: str | None = None
    binds: tuple[str, ...] = ()  # folders seen inside too; container-engine has them in its file
    flags: tuple[str, ...] = ()  # "--nv", "--rocm", "--no-container-mount-home"


@frozen
class Caches(Frozen):
    """Where libraries keep what they compile or download, instead of in $HOME."""

    # of each node and job, for compiled kernels: Triton, Inductor, torch extensions, CUDA or MIOpen
    node: str | None = None
    shared: str | None = None  # for models and data of the Hugging Face hub, filled before the job
    # where built fused kernels lie, which compute nodes can write; none: ~/.cache/neox/kernels
    kernels: str | None = None


@frozen
class Signal(Frozen):
    """How a job learns that its time is nearly up."""

    how: Literal["scheduler", "timer"] = "timer"  # does the scheduler warn, or a timer in job.sh?


@frozen
class Toolchain(Frozen):
    """What compiles the fused kernels, for which GPUs."""

    kind: Literal["cuda", "rocm", "none"] = "none"  # none: the torch references run
    cc: str | None = None  # the compiler: nvcc, hipcc
    arch: tuple[str, ...] = ()  # sm_90, gfx90a


@frozen
class Profiler(Frozen):
    """A program that wraps chosen ranks for --profile; the table is named for it: nsys, rocprof.

    In a container it is the image's own, and no module is loaded.
    """

    # nsys, or the rocprof of the site's ROCm: rocprofv3 (6.2 and later), rocprofv2, rocprof
    command: str
    module: str | None = None  # loaded after all others
    unload: tuple[str, ...] = ()  # modules that disturb it: "darshan-runtime"


@frozen
class Cost(Frozen):
    """What the centre charges."""

    unit: str = "node-hours"  # in the centre's words
    per_node_hour: float = 1.0  # units that one node costs in an hour


@frozen
class Policy(Frozen):
    """What NeoX itself must not do here."""

    submit: bool = True  # false: a retired machine; scripts render, and are not submitted
    since: str | None = None  # with submit = false: the date
    reason: str | None = None  # and why
    max_chain: int | None = None  # links of a chain; a longer one is refused
    confirm_node_hours: float = 1000.0  # a submission of more is agreed to twice


@frozen
class Fact(Frozen):
    """Where a value comes from. The key in [facts] is the value's dotted path."""

    kind: EvidenceKind  # user: somebody's script; derived: computed from facts
    source: str | None = None  # page, file and commit, or the computation
    read: str | None = None  # date, "2026-07-22"
    # what to ask the user: where it is unknown, and beside a source that another one contradicts
    question: str | None = None


@frozen
class Profile(Frozen):
    """One file of the `sites` shelf, with all that it inherits."""

    schema: int = field(default=1, metadata=NOT_IN_FILE)
    name: str = field(metadata=NOT_IN_FILE)  # the file's stem
    title: str  # the machine's name for people
    # draft; documented: from the centre's pages; verified: somebody ran it; retired
    status: Literal["draft", "documented", "verified", "retired"]
    identify: Identify = Identify()
    account: Account = Account()
    scheduler: Scheduler
    launcher: Launcher
    node_types: tuple[NodeType, ...]
    queues: tuple[Queue, ...]
    modules: Modules = Modules()
    python: PythonPlace
    env: Mapping[str, str] = field(default_factory=dict)  # variables of the job, in this order
    env_when: tuple[EnvWhen, ...] = ()
    network: Network = Network()
    storage: Mapping[str, StorageArea] = field(default_factory=dict)
    container: Container = Container()
    caches: Caches = Caches()
    signal: Signal = Signal()
    requeue: bool = False  # may the scheduler start a failed job again by itself?
    profilers: Mapping[str, Profiler] = field(default_factory=dict)
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
