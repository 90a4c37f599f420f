"""The plan: everything about a job that can be known before it is queued.

A pure function of (site, job, config, request): no process, no socket, no clock, no randomness.
The same input gives the same bytes of script.
"""

from typing import Literal as Choice

from neox.config.run_config import RunConfig
from neox.frozen import Frozen, frozen
from neox.run.paths import RunPaths
from neox.sites.profile import MasterAddress, NodeType, Profile, Queue
from neox.submit.job_kind import JobKind
from neox.submit.layout import RankPlace
from neox.submit.request import ProfileRanks, ProfileTool, Request
from neox.submit.words import Word


@frozen
class Origin(Frozen):
    """Where a line of the script comes from: "sites/frontier.toml:42 queues", "--nodes"."""

    text: str


@frozen
class Directive(Frozen):
    """One header line in the scheduler's own words, without its prefix."""

    text: str
    origin: Origin


@frozen
class Variable(Frozen):
    """An environment variable that job.sh (or, with rank words, rank.sh) exports."""

    name: str
    value: Word
    origin: Origin


@frozen
class LaunchFile(Frozen):
    """A file that the launch line names (hostfile, rankfile), written into the link's folder."""

    name: str
    content: str


@frozen
class NodeScript(Frozen):
    """node.sh: starts the ranks of one node, where the launcher starts one process there."""

    starts: Choice["ranks", "torchrun"]
    number: str | None  # the variable or argument that says which node this is; None: the only one
    over_ssh: bool  # it comes by ssh to a shell that knows nothing, and no signal reaches it
    arguments: tuple[str, ...] = ()  # more ones, for torchrun


@frozen
class LaunchPlan(Frozen):
    """The launch line. The rank script and the entry follow it, or the node script."""

    argv: tuple[Word, ...]
    files: tuple[LaunchFile, ...] = ()
    forward: tuple[str, ...] = ()  # variables the launcher must be told to pass on, by name
    rank_variable: str  # what this launcher sets in each rank
    local_rank_variable: str
    size_variable: str
    size_else: str | None = None  # another name for it, where the first is not set
    chosen_ranks: str | None = None  # a file in which "=+n1 " stands for the second chosen host
    chosen_line: str | None = None  # how a host that job.sh chose stands in the launcher's file
    ends_together: bool = True  # a rank that fails ends the others; else job.sh sees to it
    node: NodeScript | None = None


@frozen
class Staging(Frozen):
    """A Python that is unpacked on each node before its ranks start it."""

    archive: str
    to: Word  # the folder, of this job alone
    broadcast: bool  # by sbcast; else each node reads the archive itself
    needs: str | None  # the node feature that brings the disk


@frozen
class Preflight(Frozen):
    """Every node of the allocation is tried before the ranks take it."""

    launch: LaunchPlan  # of `rank.sh preflight`, over all nodes
    seconds: int = 60  # a node that has not answered by then is bad


@frozen
class Geometry(Frozen):
    """How ranks and batch are divided."""

    pipeline: int
    tensor: int
    data: int
    micro_batch: int
    accumulation: int

    @property
    def world(self) -> int:
        return self.pipeline * self.tensor * self.data

    @property
    def global_batch(self) -> int:
        return self.micro_batch * self.accumulation * self.data


@frozen
class CostEstimate(Frozen):
    amount: float
    unit: str
    formula: str  # "12 nodes x 2.00 h x 1 node-hours"


@frozen
class Entry(Frozen):
    """What each rank runs: `python -P -m neox.run.cli ARGV...`; "{run_yml}" stands for the file."""

    argv: tuple[str, ...]
    per: Choice["gpu", "node", "one"]


@frozen
class Watch(Frozen):
    """Seconds that rank 0 may be silent in each phase, and how job.sh looks and ends a hang."""

    start: int
    step: int  # or `steps` times what the last step took, if that is more
    save: int
    evaluate: int
    steps: int = 20
    look: int = 10  # between two looks
    stacks: int = 10  # for the ranks to print their stacks
    mercy: int = 30  # between asking the launcher to end, and killing it


@frozen
class Profiling(Frozen):
    """What records some steps of some ranks; rank.sh chooses the ranks."""

    tool: ProfileTool
    recorder: str  # torch, memory, nsys, or which rocprof: the engine heeds it at these steps
    ranks: ProfileRanks
    steps: tuple[int, int]  # first and last, counted from 1
    by_steps: bool  # else it records the whole run
    wrap: tuple[Word, ...] = ()  # before Python; empty for what the engine does itself
    command: str | None = None  # that job.sh looks for; None in a container
    module: str | None = None
    unload: tuple[str, ...] = ()


@frozen
class Plan(Frozen):
    request: Request
    site: Profile
    job: JobKind
    config: RunConfig
    queue: Queue
    node_type: NodeType
    nodes: int  # that ranks run on
    seconds: int  # walltime of one link
    lead_seconds: int  # the stop signal comes this long before the end
    chain: int  # links submitted at once
    account: str | None
    run: RunPaths
    layout: tuple[RankPlace, ...]  # of one node; every node is alike
    geometry: Geometry | None  # None for jobs without ranks that train
    entry: Entry
    launch: LaunchPlan
    directives: tuple[Directive, ...]
    variables: tuple[Variable, ...]  # exported by job.sh, in order
    rank_variables: tuple[Variable, ...]  # exported by rank.sh: they name LOCAL_RANK or node
    unset: tuple[str, ...]
    master: MasterAddress
    python: str  # the interpreter the ranks run
    container: tuple[Word, ...]  # prefix of the entry inside each rank; empty for none
    cost: CostEstimate
    warnings: tuple[str, ...]
    questions: tuple[str, ...]  # facts the site's profile marks as unknown
    not_yet: tuple[str, ...]  # arguments whose feature the engine does not have
    chain_wanted: int = 1  # links asked for; those beyond `chain` follow by `neox-submit chain RUN`
    hosts: tuple[str, ...] = ()  # where no scheduler chooses them, the hosts the job runs on
    spare_nodes: int = 0  # allocated besides, in place of bad ones
    preflight: Preflight | None = None  # None for a job on one node
    stage: Staging | None = None  # None where Python starts from where it lies
    watch: Watch | None = None  # None for a job that shows no heartbeat
    waits_for: tuple[str, ...] = ()  # other jobs, whose end the first link waits for
    step_seconds: float | None = None  # estimate; None where nothing is known to estimate from
    checkpoint_bytes: int | None = None  # of one checkpoint
    job_container: tuple[Word, ...] = ()  # prefix of Python in job.sh; empty for none
    profile: Profiling | None = None

    @property
    def ranks_per_node(self) -> int:
        return len(self.layout)

    @property
    def ranks(self) -> int:
        return self.nodes * self.ranks_per_node

    @property
    def allocated_nodes(self) -> int:
        return self.nodes + self.spare_nodes

    @property
    def refusal(self) -> str | None:
        """Why this plan renders but must not be submitted; None where it may be."""
        policy = self.site.policy
        if policy.submit:
            return None
        since = f" since {policy.since}" if policy.since else ""
        why = f": {policy.reason}" if policy.reason else ""
        return f"{self.site.name} takes no jobs{since}{why}; the script can be read, not submitted"
