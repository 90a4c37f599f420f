"""The numbers of a job: queue, nodes, layout, geometry, time and chain, each held against the site.

Every check puts its problem on one list and lets the others go on, so that a person hears of
everything at once. The same checks decide whether a suggested change would be accepted.
"""

from collections.abc import Iterator

from neox.config.run_config import RunConfig
from neox.frozen import Frozen, frozen
from neox.models.count import checkpoint_bytes
from neox.sites.profile import NodeType, Queue
from neox.submit.case import Case, note
from neox.submit.container import ContainerWords
from neox.submit.dependency import waits_for
from neox.submit.dividing import Divided, divide
from neox.submit.environment import Surroundings
from neox.submit.geometry import division, geometry_warnings, node_remedies
from neox.submit.layout import RankPlace
from neox.submit.limits import Asked, Chain, bin_problem, chain_of
from neox.submit.memory_advice import memory_warning
from neox.submit.places import Names
from neox.submit.placing import Placed, place
from neox.submit.plan import Geometry, LaunchPlan, Preflight, Profiling
from neox.submit.problem import Problem
from neox.submit.request import Request
from neox.submit.starting import Started, start
from neox.submit.typed_texts import typed_problems
from neox.submit.walltime import Pace, lead, time_problem, walltime


@frozen
class Sized(Frozen):
    """A job that passed every check."""

    queue: Queue
    node: NodeType
    nodes: int
    use_gpus: bool
    places: tuple[RankPlace, ...]
    config: RunConfig
    geometry: Geometry | None
    launch: LaunchPlan
    preflight: Preflight | None
    seconds: int
    lead_seconds: int
    chain: Chain
    pace: Pace
    checkpoint_bytes: int | None
    names: Names
    around: Surroundings
    container: ContainerWords
    python: str
    profile: Profiling | None
    waits_for: tuple[str, ...]  # other jobs
    warnings: tuple[str, ...]


def size(case: Case, request: Request) -> Sized | list[Problem]:
    """Hold the request against site and config: the job's numbers, or all that is wrong."""
    problems = typed_problems(case.site, request)
    placed = place(case, request, problems)
    others = waits_for(case.site, request)
    note(problems, others if isinstance(others, Problem) else None)
    if placed is None:
        return problems
    started = start(case, request, placed, problems)
    divided = divide(case, request, placed, problems)
    _check_time(case, request, placed, divided.pace if divided else Pace(), problems)
    if problems or started is None or divided is None or isinstance(others, Problem):
        return problems
    return _sized(case, request, placed, started, divided, others=others)


def _sized(
    case: Case,
    request: Request,
    placed: Placed,
    started: Started,
    divided: Divided,
    *,
    others: tuple[str, ...],
) -> Sized:
    seconds = walltime(request, case.job, placed.queue, placed.nodes + request.spare_nodes)
    return Sized(
        queue=placed.queue,
        node=placed.node,
        nodes=placed.nodes,
        use_gpus=placed.use_gpus,
        places=placed.ranks,
        config=divided.config,
        geometry=divided.geometry,
        launch=started.launch,
        preflight=started.preflight,
        seconds=seconds,
        lead_seconds=lead(seconds, divided.pace),
        chain=chain_of(case.site, placed.queue, request.chain or 1),
        pace=divided.pace,
        checkpoint_bytes=checkpoint_bytes(divided.spec) if divided.spec else None,
        names=started.names,
        around=started.around,
        container=started.container,
        python=started.python,
        profile=divided.profile,
        waits_for=others,
        warnings=tuple(_warnings(case, placed, divided)),
    )


def _check_time(
    case: Case, request: Request, placed: Placed, pace: Pace, problems: list[Problem]
) -> None:
    """Against the queue's bins, and for a job that is stopped in time, against what it must do."""
    seconds = walltime(request, case.job, placed.queue, placed.nodes + request.spare_nodes)
    parts = division(case.base) if case.job.ranks == "per-gpu" else None
    asked = Asked(
        request=request,
        nodes=placed.nodes + request.spare_nodes,
        seconds=seconds,
        division=parts,
        ranks_per_node=placed.ranks_per_node,
    )
    note(problems, bin_problem(case.site, placed.queue, asked))
    if case.job.signal:
        more = (
            node_remedies(parts, request, placed.nodes, placed.ranks_per_node)[1] if parts else ()
        )
        note(problems, time_problem(request, seconds, placed.nodes, pace, more))


def _warnings(case: Case, placed: Placed, divided: Divided) -> Iterator[str]:
    """Of a job that can run, but perhaps not as its owner thinks."""
    gpu, geometry = placed.node.gpu, divided.geometry
    idle = placed.node.gpus - placed.ranks_per_node
    if placed.use_gpus and idle > 0:
        line = f"{idle} of {placed.node.gpus} GPUs of each node stay idle"
        if case.site.launcher.binding == "closest":
            line += ", and with fewer ranks than GPUs Slurm may bind them elsewhere than planned"
        yield line
    if geometry is None:
        return
    yield from geometry_warnings(divided.config, geometry, placed.node, placed.ranks)
    if divided.spec and gpu and placed.use_gpus:
        warning = memory_warning(divided.config, divided.spec, geometry, gpu.memory_gb)
        yield from (warning,) if warning else ()
