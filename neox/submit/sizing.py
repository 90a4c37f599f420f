"""The numbers of a job: queue, nodes, layout, geometry, time and chain, each held against the site.

Every check puts its problem on one list and lets the others go on, so that a person hears of
everything at once. The same checks decide whether a suggested change would be accepted.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neox.config.derive import resolve
from neox.config.given import Given
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.models.count import checkpoint_bytes
from neox.models.spec import ModelSpec
from neox.sites.machine import on_machine
from neox.sites.profile import NodeType, Profile, Queue
from neox.submit.container import ContainerWords, container_words
from neox.submit.environment import Surroundings, python_of, surroundings
from neox.submit.estimate import pace_of
from neox.submit.geometry import (
    division,
    geometry_of,
    geometry_problems,
    geometry_warnings,
    node_remedies,
)
from neox.submit.job_kind import JobKind
from neox.submit.launchers import LaunchError, LaunchParts, launch
from neox.submit.layout import LayoutError, RankPlace, layout
from neox.submit.limits import (
    Asked,
    Chain,
    account_problem,
    bin_problem,
    chain_of,
    chain_problem,
    choose_queue,
)
from neox.submit.memory_advice import memory_warning
from neox.submit.places import Names
from neox.submit.plan import Geometry, LaunchPlan, Profiling
from neox.submit.problem import Problem, Remedy
from neox.submit.profiling import (
    Recorded,
    profile_problems,
    profiler_variables,
    profiling_of,
)
from neox.submit.quoting import QuotingError, check_directive_text, check_text, shown
from neox.submit.request import Request
from neox.submit.run_area import area_problem, name_problems, run_root
from neox.submit.walltime import Pace, lead, time_problem, walltime

# what rank.sh and the ranks need from job.sh, beside the site's own variables
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "NEOX_JOB_ID")

_DIRECTIVE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(=.*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What stays the same while another request is tried."""

    site: Profile
    job: JobKind
    given: Given
    base: RunConfig  # resolved without a number of ranks


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A job that passed every check."""

    queue: Queue
    node: NodeType
    nodes: int
    use_gpus: bool
    places: tuple[RankPlace, ...]
    config: RunConfig
    geometry: Geometry | None
    launch: LaunchPlan
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
    warnings: tuple[str, ...]


def base_config(job: JobKind, given: Given, request: Request) -> RunConfig:
    """The config without a number of ranks. Raises ConfigErrors for what is wrong on any machine.

    A job that trains nothing may come without a config.
    """
    if not request.configs and job.ranks != "per-gpu":
        return RunConfig()
    return resolve(given, None)


def size(case: Case, request: Request) -> Sized | list[Problem]:
    """Hold the request against site and config: the job's numbers, or all that is wrong."""
    problems = _about_texts(case, request)
    queue = choose_queue(case.site, request.queue)
    if isinstance(queue, Problem):
        return [*problems, queue]
    node = on_machine(case.site.node_type(queue.node_type), request.machine_cores)
    use_gpus = case.job.needs.gpus and node.gpus > 0
    nodes = _nodes(case.job, request, problems)
    _note(problems, account_problem(case.site, queue, request.account))
    _note(problems, chain_problem(case.site, queue, case.job, request))
    places = _places(case, node, use_gpus, problems)
    if places is None or nodes is None:
        return problems
    names = _names(request, places, node)
    around = surroundings(case.site, node, nodes, names, places)
    profiler = profiler_variables(case.site, case.job, request)
    forward = (*RENDEZVOUS, *profiler, *(variable.name for variable in around.variables))
    inside = container_words(case.site, run_root(request), request.cwd, names, forward)
    parts = LaunchParts(
        site=case.site,
        queue=queue,
        node=node,
        nodes=nodes,
        places=places,
        use_gpus=use_gpus,
        hosts=_hosts(case.site, request, nodes),
        forward=forward,
        extra=request.launch_args,
        container=inside.launch,
    )
    started = _launched(parts, problems)
    python = python_of(case.site, request, names)
    _note(problems, python if isinstance(python, Problem) else None)
    _note(problems, area_problem(case.site, run_root(request), names))
    divided = _divided(case, request, parts, problems)
    profile = _profile(case, request, parts, divided, problems)
    pace, spec = _pace(divided, node, nodes)
    seconds = walltime(request, case.job, queue, nodes)
    asked = _asked(case, request, parts, seconds)
    _note(problems, bin_problem(case.site, queue, asked))
    if case.job.signal:
        more = (
            node_remedies(asked.division, request, nodes, len(places))[1] if asked.division else ()
        )
        _note(problems, time_problem(request, seconds, nodes, pace, more))
    if problems or started is None or divided is None or isinstance(python, Problem):
        return problems
    return Sized(
        queue=queue,
        node=node,
        nodes=nodes,
        use_gpus=use_gpus,
        places=places,
        config=divided.config,
        geometry=divided.geometry,
        launch=started,
        seconds=seconds,
        lead_seconds=lead(seconds, pace),
        chain=chain_of(case.site, queue, request.chain or 1),
        pace=pace,
        checkpoint_bytes=checkpoint_bytes(spec) if spec else None,
        names=names,
        around=around,
        container=inside,
        python=python,
        profile=profile,
        warnings=(
            *_few_ranks(case.site, parts),
            *_geometry_warnings(divided, parts),
            *_memory_warnings(divided, spec, parts),
        ),
    )


def _note(problems: list[Problem], problem: Problem | None) -> None:
    if problem is not None:
        problems.append(problem)


# --- what a person typed -----------------------------------------------------------------------


def _about_texts(case: Case, request: Request) -> list[Problem]:
    """Text that cannot stand where it has to, each named by its flag."""
    problems = name_problems(request)
    folder = str(run_root(request).parent)
    typed = [("queue", request.queue), ("account", request.account)]
    if case.site.scheduler.kind != "local":
        typed += [("output folder", folder), *(("directive", text) for text in request.directives)]
    elsewhere = [("python", request.python), ("output folder", folder)]
    elsewhere += [("launch-arg", text) for text in request.launch_args]
    for check, texts in ((check_directive_text, typed), (check_text, elsewhere)):
        for field, text in texts:
            _note(problems, _text_problem(check, field, text))
    for text in request.directives:
        if not _DIRECTIVE.fullmatch(text):
            message = f"directive: {shown(text)} is not KEY=VALUE, as in --directive comment=TEXT"
            problems.append(Problem(about="text of directive", text=message))
    return problems


def _text_problem(check: Callable[[str, str], str], field: str, text: str | None) -> Problem | None:
    try:
        if text is not None:
            check(field, text)
    except QuotingError as error:
        return Problem(about=f"text of {field}", text=str(error))
    return None


def _nodes(job: JobKind, request: Request, problems: list[Problem]) -> int | None:
    nodes = 1 if request.nodes is None else request.nodes
    if nodes < 1:
        problems.append(Problem(about="nodes", text=f"--nodes {nodes}: a job has at least one"))
        return None
    if job.ranks == "one" and nodes > 1:
        text = f"--nodes {nodes}: a {job.name} job is one process; leave --nodes out"
        problems.append(Problem(about="nodes", text=text))
        return None
    return nodes


def _hosts(site: Profile, request: Request, nodes: int) -> tuple[str, ...]:
    return (request.hosts or site.launcher.hosts)[: max(nodes, 0)]


def _names(request: Request, places: tuple[RankPlace, ...], node: NodeType) -> Names:
    return Names(
        user=request.user,
        home=request.home,
        account=request.account,
        cores_per_rank=len(places[0].cores),
        gpus=node.gpus,
    )


# --- ranks ---------------------------------------------------------------------------------------


def _places(
    case: Case, node: NodeType, use_gpus: bool, problems: list[Problem]
) -> tuple[RankPlace, ...] | None:
    binding = case.site.launcher.binding
    if binding == "closest" and use_gpus and case.site.launcher.gpu_visibility == "all":
        text = (
            f'{case.site.name}: binding "closest" orders ranks by their cores, so a rank that sees '
            f'every GPU would take a far one; set gpu_visibility = "one", or binding = "mask"'
        )
        problems.append(Problem(about="layout", text=text))
        return None
    try:
        return layout(node, _ranks_per_node(case, node, use_gpus), binding, use_gpus=use_gpus)
    except LayoutError as error:
        problems.append(Problem(about="layout", text=f"{case.site.name}: {error}"))
        return None


def _ranks_per_node(case: Case, node: NodeType, use_gpus: bool) -> int:
    """`num_gpus` of the config on every site, else one for each GPU, else one."""
    if case.job.ranks != "per-gpu":
        return 1
    return case.base.launch.num_gpus or (node.gpus if use_gpus else 1)


def _launched(parts: LaunchParts, problems: list[Problem]) -> LaunchPlan | None:
    try:
        return launch(parts)
    except LaunchError as error:
        problems.append(Problem(about="launch", text=str(error)))
        return None


def _few_ranks(site: Profile, parts: LaunchParts) -> tuple[str, ...]:
    """With idle GPUs the site's own binding does not put ranks where the layout says."""
    if not parts.use_gpus or parts.ranks_per_node == parts.node.gpus:
        return ()
    idle = parts.node.gpus - parts.ranks_per_node
    line = f"{idle} of {parts.node.gpus} GPUs of each node stay idle"
    if site.launcher.binding == "closest":
        line += ", and with fewer ranks than GPUs Slurm may bind them elsewhere than planned"
    return (line,)


# --- how they divide the model and the batch ---------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Divided:
    config: RunConfig
    geometry: Geometry | None


def _divided(
    case: Case, request: Request, parts: LaunchParts, problems: list[Problem]
) -> Divided | None:
    if case.job.ranks != "per-gpu":
        return Divided(config=case.base, geometry=None)
    found = geometry_problems(case.base, request, parts.nodes, parts.ranks_per_node)
    problems += found
    if found:
        return None
    try:
        config = resolve(case.given, parts.ranks)
    except ConfigErrors as errors:
        problems += [
            Problem(about=f"config {problem.file}:{problem.line}", text=str(problem))
            for problem in errors.problems
        ]
        return None
    return Divided(config=config, geometry=geometry_of(config, parts.ranks))


def _profile(
    case: Case,
    request: Request,
    parts: LaunchParts,
    divided: Divided | None,
    problems: list[Problem],
) -> Profiling | None:
    if divided is None:
        return None
    recorded = Recorded(
        site=case.site,
        job=case.job,
        config=divided.config,
        node=parts.node,
        use_gpus=parts.use_gpus,
        ranks=parts.ranks,
    )
    found = tuple(profile_problems(recorded, request))
    problems += found
    return None if found else profiling_of(recorded, request)


def _geometry_warnings(divided: Divided, parts: LaunchParts) -> list[str]:
    if divided.geometry is None:
        return []
    return geometry_warnings(divided.config, divided.geometry, parts.node, parts.places)


def _memory_warnings(
    divided: Divided, spec: ModelSpec | None, parts: LaunchParts
) -> tuple[str, ...]:
    gpu = parts.node.gpu
    if divided.geometry is None or spec is None or gpu is None or not parts.use_gpus:
        return ()
    warning = memory_warning(divided.config, spec, divided.geometry, gpu.memory_gb)
    return (warning,) if warning else ()


def _asked(case: Case, request: Request, parts: LaunchParts, seconds: int) -> Asked:
    trains = case.job.ranks == "per-gpu"
    return Asked(
        request=request,
        nodes=parts.nodes,
        seconds=seconds,
        division=division(case.base) if trains else None,
        ranks_per_node=parts.ranks_per_node,
    )


def _more_nodes(asked: Asked) -> Iterable[Remedy]:
    if asked.division is None:
        return ()
    return node_remedies(asked.division, asked.request, asked.nodes, asked.ranks_per_node)[1]


def _pace(divided: Divided | None, node: NodeType, nodes: int) -> tuple[Pace, ModelSpec | None]:
    """Estimates; none for a job that trains nothing, or where only the tokenizer knows the size."""
    if divided is None or divided.geometry is None:
        return Pace(), None
    try:
        spec = model_spec(divided.config)
    except ConfigErrors:
        return Pace(), None
    return pace_of(divided.config, spec, divided.geometry, node, nodes), spec
