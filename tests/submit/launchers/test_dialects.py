"""One layout in many dialects: every line, read back, puts each rank where the layout says."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neox.sites.profile import Gpu, GpuVisibility, NodeType, Profile
from neox.sites.validate import LAUNCHERS_OF
from neox.submit.launchers import LaunchParts, launch
from neox.submit.layout import layout
from neox.submit.plan import Plan
from neox.submit.site_rules import gpu_order
from tests.golden.cases import Case, cases, plan_for
from tests.submit.askings import ask, plan, refused, site
from tests.submit.launchers.readers import Read, ranks_of, whole

HOSTS = tuple(f"node{number}" for number in range(1, 13))
# every launcher with each way to bind that a profile may say
DIALECTS = [(kind, binding) for binding, kinds in LAUNCHERS_OF.items() for kind in sorted(kinds)]
UNBOUND = ("none", "mpibind")
SCHEDULERS = {"srun": "slurm", "jsrun": "lsf", "pals": "pbs", "flux": "flux"}


def expected(made: Plan) -> dict[int, Read]:
    bound = made.site.launcher.binding not in UNBOUND
    return {
        node * made.ranks_per_node + place.local_rank: Read(
            node=node,
            threads=whole(made.node_type, list(place.cores)) if bound else None,
            gpu=place.gpu,
        )
        for node in range(made.nodes)
        for place in made.layout
    }


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.name)
def test_every_kept_line_is_the_layout(case: Case) -> None:
    made = plan_for(case.site, case.nodes, case.kind)
    assert ranks_of(made) == expected(made)


# --- every dialect on nodes that are not simple --------------------------------------------------


def gpu(*cores: str) -> Gpu:
    return Gpu(kind="G", arch="sm_90", memory_gb=80, peak_tflops={}, cores=cores)


NODES = {
    # GPUs in the order of their cores, as on a DGX
    "straight": NodeType(cores=16, numa=("0-7", "8-15"), gpu=gpu("0-7", "0-7", "8-15", "8-15")),
    # Polaris and Perlmutter: GPU 0 is beside the last cores
    "reversed": NodeType(cores=16, gpu=gpu("12-15", "8-11", "4-7", "0-3")),
    # Frontier: the first core of each cache is the system's, and GPUs lie crosswise
    "reserved": NodeType(
        cores=16,
        numa=("0-7", "8-15"),
        reserved=(0, 4, 8, 12),
        gpu=gpu("8-11", "12-15", "0-3", "4-7"),
    ),
    # both threads of a core, numbered side by side or far apart
    "threads": NodeType(
        cores=16, smt=2, threads_per_core=2, gpu=gpu("0-3", "4-7", "8-11", "12-15")
    ),
    "near": NodeType(
        cores=8,
        smt=4,
        smt_numbering="near",
        threads_per_core=2,
        gpu=gpu("0-1", "2-3", "4-5", "6-7"),
    ),
    # domains that share the cores out in turn
    "woven": NodeType(cores=8, numa=("0,2,4,6", "1,3,5,7"), gpu=gpu("0,2", "4,6", "1,3", "5,7")),
    "no GPU": NodeType(cores=16, numa=("0-7", "8-15"), reserved=(0,)),
}


def profile(kind: str, binding: str, node: NodeType) -> Profile:
    """The generic machine of this launcher, with nodes like `node`."""
    base = site(SCHEDULERS.get(kind, "openmpi"))
    launcher = replace(
        base.launcher,
        kind=kind,  # type: ignore[arg-type]
        binding=binding,  # type: ignore[arg-type]
        gpu_visibility=_sees(kind, binding),
        flags=("--gpus-per-task=1", "--gpu-bind=closest") if binding == "closest" else (),
    )
    queue = replace(base.queues[0], exclusive=True)
    return replace(base, launcher=launcher, node_types=(node,), queues=(queue,))


def _sees(kind: str, binding: str) -> GpuVisibility:
    return "one" if binding in ("closest", "mpibind") or kind == "flux" else "all"


@cache
def _plan(scheduler: str) -> Plan:
    return plan(ask(scheduler, "pythia/14M", overrides=("num_gpus=2",)), hosts=HOSTS)


def made(kind: str, binding: str, node: NodeType, ranks: int, nodes: int = 2) -> Plan:
    """A plan with this machine's own layout and launch line."""
    here = profile(kind, binding, node)
    nodes = 1 if kind == "spawn" else nodes
    places = layout(node, ranks, here.launcher.binding)
    order = gpu_order(here, node.gpu, places) if node.gpu else None
    parts = LaunchParts(
        site=here,
        queue=here.queues[0],
        node=node,
        nodes=nodes,
        places=places,
        use_gpus=node.gpu is not None,
        hosts=HOSTS[:nodes] if here.scheduler.kind == "local" and kind != "spawn" else (),
        forward=("MASTER_ADDR", "MASTER_PORT", "NEOX_JOB_ID"),
        extra=(),
    )
    return replace(
        _plan(SCHEDULERS.get(kind, "openmpi")),
        site=here,
        node_type=node,
        nodes=nodes,
        hosts=parts.hosts,
        layout=places,
        launch=launch(parts),
        rank_variables=(order,) if order else (),
    )


@pytest.mark.parametrize("ranks", [4, 2, 1], ids=["all", "half", "one"])
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(("kind", "binding"), DIALECTS, ids=lambda word: word)
def test_each_dialect_says_the_layout(kind: str, binding: str, node: str, ranks: int) -> None:
    """Every GPU, half of them, and one rank a node."""
    here = made(kind, binding, NODES[node], ranks)
    assert here.ranks_per_node == ranks
    assert ranks_of(here) == expected(here)


@pytest.mark.parametrize(("kind", "binding"), DIALECTS, ids=lambda word: word)
def test_more_ranks_than_gpus_are_refused_with_the_reason(kind: str, binding: str) -> None:
    request = ask(SCHEDULERS.get(kind, "openmpi"), "pythia/14M", overrides=("num_gpus=5",))
    said = refused(request, profile(kind, binding, NODES["straight"]), nodes=1, hosts=HOSTS)
    assert "5 ranks on a node with 4 GPUs" in said
    assert "NCCL refuses two on one: num_gpus=4 or less" in said


# --- any node ------------------------------------------------------------------------------------


@st.composite
def nodes(draw: st.DrawFn) -> NodeType:
    """Up to eight GPUs, each with cores of its own in any order, some cores reserved."""
    gpus = draw(st.integers(1, 8))
    width = draw(st.integers(2, 6))
    order = draw(st.permutations(range(gpus)))
    cores = gpus * width
    reserved = draw(st.sets(st.sampled_from([g * width for g in range(gpus)])))
    smt = draw(st.sampled_from([1, 2]))
    spans = tuple(f"{i * width}-{(i + 1) * width - 1}" for i in order)
    return NodeType(
        cores=cores,
        smt=smt,
        threads_per_core=draw(st.integers(1, smt)),
        smt_numbering=draw(st.sampled_from(["far", "near"])),
        reserved=tuple(sorted(reserved)),
        gpu=gpu(*spans),
    )


@settings(max_examples=150, deadline=None)
@given(node=nodes(), dialect=st.sampled_from(DIALECTS), data=st.data())
def test_on_any_node_ranks_get_cores_of_their_own_beside_their_gpu(
    node: NodeType, dialect: tuple[str, str], data: st.DataObject
) -> None:
    kind, binding = dialect
    ranks = data.draw(st.integers(1, node.gpus))
    assume(binding != "closest" or ranks == node.gpus > 1)
    here = made(kind, binding, node, ranks, nodes=data.draw(st.integers(1, 3)))
    read = ranks_of(here)
    assert read == expected(here)
    first = [read[rank] for rank in range(ranks)]
    assert len({one.gpu for one in first}) == ranks, "a GPU for each"
    if binding in UNBOUND:
        return
    taken = [one.threads or frozenset() for one in first]
    assert len(frozenset[int]().union(*taken)) == sum(map(len, taken)), "no core twice"
    spare = whole(node, list(node.reserved))
    for one, threads in zip(first, taken, strict=True):
        assert threads
        assert not threads & spare, "no reserved core"
        around = node.gpu.cores[one.gpu or 0].split("-") if node.gpu else []
        beside = whole(node, list(range(int(around[0]), int(around[1]) + 1)))
        assert threads <= beside, "beside its GPU"
