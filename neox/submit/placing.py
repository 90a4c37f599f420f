"""Where a job runs: queue, kind and number of nodes, and the ranks of one of them."""

from neox.frozen import Frozen, frozen
from neox.sites.machine import on_machine
from neox.sites.profile import NodeType, Queue
from neox.submit.case import Case, note
from neox.submit.job_kind import JobKind
from neox.submit.layout import LayoutError, RankPlace, layout
from neox.submit.limits import account_problem, chain_problem, choose_queue
from neox.submit.problem import Problem
from neox.submit.request import Request


@frozen
class Placed(Frozen):
    queue: Queue
    node: NodeType
    nodes: int
    use_gpus: bool
    ranks: tuple[RankPlace, ...]  # of one node

    @property
    def ranks_per_node(self) -> int:
        return len(self.ranks)

    @property
    def world(self) -> int:
        return self.nodes * len(self.ranks)


def place(case: Case, request: Request, problems: list[Problem]) -> Placed | None:
    """None, with the reason among the problems, where nothing more can be said about the job."""
    queue = choose_queue(case.site, request.queue)
    if isinstance(queue, Problem):
        problems.append(queue)
        return None
    node = on_machine(case.site.node_type(queue.node_type), request.machine_cores)
    use_gpus = case.job.needs.gpus and node.gpus > 0
    nodes = _nodes(case.job, request, problems)
    note(problems, account_problem(case.site, queue, request.account))
    note(problems, chain_problem(case.site, queue, case.job, request))
    ranks = _places(case, node, use_gpus, problems)
    if ranks is None or nodes is None:
        return None
    return Placed(queue=queue, node=node, nodes=nodes, use_gpus=use_gpus, ranks=ranks)


def _nodes(job: JobKind, request: Request, problems: list[Problem]) -> int | None:
    nodes = 1 if request.nodes is None else request.nodes
    if nodes < 1:
        problems.append(Problem(about="nodes", text=f"--nodes {nodes}: a job has at least one"))
        return None
    if job.ranks == "one" and nodes > 1:
        text = f"--nodes {nodes}: a {job.name} job is one process; leave --nodes out"
        problems.append(Problem(about="nodes", text=text))
        return None
    if job.ranks != "per-gpu" and request.spare_nodes:
        text = f"--spare-nodes: nobody tries the nodes of a {job.name} job; leave --spare-nodes out"
        problems.append(Problem(about="spare nodes", text=text))
    return nodes


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
