"""How the ranks of a job start: their environment, container, launch line and Python."""

from dataclasses import replace

from neox.frozen import Frozen, frozen
from neox.sites.profile import NodeType, Profile
from neox.submit.case import Case, note
from neox.submit.container import ContainerWords, container_words
from neox.submit.environment import Surroundings, python_of, surroundings
from neox.submit.launchers import LaunchError, LaunchParts, launch
from neox.submit.launchers.hosts import check_spare_nodes
from neox.submit.layout import RankPlace
from neox.submit.places import Names
from neox.submit.placing import Placed
from neox.submit.plan import LaunchPlan, Preflight
from neox.submit.problem import Problem
from neox.submit.profiling import profiler_variables
from neox.submit.request import Request
from neox.submit.run_area import area_problem, run_root, save_problem

# what rank.sh and the ranks need from job.sh, beside the site's own variables
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "NEOX_JOB_ID")


@frozen
class Started(Frozen):
    launch: LaunchPlan
    preflight: Preflight | None
    names: Names
    around: Surroundings
    container: ContainerWords
    python: str


def start(case: Case, request: Request, placed: Placed, problems: list[Problem]) -> Started | None:
    """None, with the reasons among the problems, where no launch line or Python can be named."""
    names = _names(request, placed.ranks, placed.node)
    around = surroundings(case.site, placed.node, placed.nodes, names, placed.ranks)
    profiler = profiler_variables(case.site, case.job, request)
    forward = (*RENDEZVOUS, *profiler, *(variable.name for variable in around.variables))
    inside = container_words(case.site, run_root(request), request.cwd, names, forward)
    parts = LaunchParts(
        site=case.site,
        queue=placed.queue,
        node=placed.node,
        nodes=placed.nodes,
        places=placed.ranks,
        use_gpus=placed.use_gpus,
        hosts=_hosts(case.site, request, placed.nodes + request.spare_nodes),
        forward=forward,
        extra=request.launch_args,
        container=inside.launch,
        spare_nodes=request.spare_nodes,
    )
    started = _launched(parts, problems)
    tried = _tried(case, parts, started, problems) if started else None
    python = python_of(case.site, request, names)
    note(problems, python if isinstance(python, Problem) else None)
    note(problems, area_problem(case.site, run_root(request), names))
    note(problems, save_problem(case.site, request, case.base.checkpoint.save, names))
    if started is None or isinstance(python, Problem):
        return None
    return Started(
        launch=started,
        preflight=tried,
        names=names,
        around=around,
        container=inside,
        python=python,
    )


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


def _launched(parts: LaunchParts, problems: list[Problem]) -> LaunchPlan | None:
    try:
        check_spare_nodes(parts)
        return launch(parts)
    except LaunchError as error:
        problems.append(Problem(about="launch", text=str(error)))
        return None


def _tried(
    case: Case, parts: LaunchParts, launch_plan: LaunchPlan, problems: list[Problem]
) -> Preflight | None:
    """Every node of several is tried before ranks that train; one alone would only try itself.

    Where the launcher starts a script of the node's, and not the ranks, none is tried.
    """
    allocated = parts.nodes + parts.spare_nodes
    if allocated == 1 or case.job.ranks != "per-gpu" or launch_plan.node is not None:
        return None
    every = _launched(replace(parts, nodes=allocated, spare_nodes=0), problems)
    return Preflight(launch=every) if every else None
