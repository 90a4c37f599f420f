"""Layouts against the bindings that the centres document, and properties on made-up nodes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.sites.profile import BindingStyle, Gpu, NodeType
from neox.sites.ranges import parse_cores, print_cores
from neox.submit.layout import (
    LayoutError,
    cpu_mask,
    free_cores,
    hardware_threads,
    is_dense,
    layout,
)
from tests.submit.askings import site

MI250X = site("frontier").node_types[0]
V100 = site("summit").node_types[0]


def node(**changes: object) -> NodeType:
    base = NodeType(cores=16, numa=("0-7", "8-15"))
    return replace(base, **changes)  # type: ignore[arg-type]


def gpu(*cores: str) -> Gpu:
    return Gpu(kind="G", arch="sm_90", memory_gb=80, peak_tflops={}, cores=cores)


# Frontier user guide, "Node layout": NUMA, GPU and usable cores, in the order of local ranks
FRONTIER = [
    (0, 4, "1-7"),
    (0, 5, "9-15"),
    (1, 2, "17-23"),
    (1, 3, "25-31"),
    (2, 6, "33-39"),
    (2, 7, "41-47"),
    (3, 0, "49-55"),
    (3, 1, "57-63"),
]
# LUMI user guide and training, "Binding": the mask of GCD 0 to 7
LUMI = "fe000000000000 fe00000000000000 fe0000 fe000000 fe fe00 fe00000000 fe0000000000"
# Summit user guide: hardware threads of each resource set under -r6 -c7
SUMMIT = ["0-27", "28-55", "56-83", "88-115", "116-143", "144-171"]


def test_frontier_takes_gpus_in_the_order_of_their_cores() -> None:
    places = layout(MI250X, 8, "closest")
    assert [(p.numa, p.gpu, print_cores(p.cores)) for p in places] == FRONTIER
    assert [p.local_rank for p in places] == list(range(8))


def test_lumi_takes_gpus_in_order_and_moves_the_masks() -> None:
    places = layout(site("lumi").node_types[0], 8, "mask")
    assert [p.gpu for p in places] == list(range(8))
    assert [f"{cpu_mask(MI250X, p.cores):x}" for p in places] == LUMI.split()


def test_summit_shares_each_socket_among_three_gpus() -> None:
    places = layout(V100, 6, "resource-set")
    every = replace(V100, threads_per_core=4)
    threads = [[t for core in p.cores for t in hardware_threads(every, core)] for p in places]
    assert [print_cores(t) for t in threads] == SUMMIT
    assert [p.gpu for p in places] == list(range(6))


def test_one_rank_of_frontier_is_not_bound_to_the_closest() -> None:
    (place,) = layout(MI250X, 1, "closest")
    assert (place.gpu, print_cores(place.cores)) == (0, "49-55")


def test_gpus_that_name_the_same_cores_divide_them() -> None:
    dgx = NodeType(cores=112, numa=("0-55", "56-111"), gpu=gpu(*["0-55"] * 4, *["56-111"] * 4))
    places = layout(dgx, 8, "cores")
    assert [print_cores(p.cores) for p in places[:5]] == [
        "0-13",
        "14-27",
        "28-41",
        "42-55",
        "56-69",
    ]
    assert is_dense(dgx, places)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (1, ["0-15"]),
        (2, ["0-7", "8-15"]),
        (3, ["0-3", "4-7", "8-11"]),
        (4, ["0-3", "4-7", "8-11", "12-15"]),
        (16, [str(core) for core in range(16)]),
    ],
)
def test_ranks_without_gpus_keep_to_domains(ranks: int, expected: list[str]) -> None:
    assert [print_cores(p.cores) for p in layout(node(), ranks, "cores")] == expected


def test_a_node_of_unknown_domains_is_shared_evenly() -> None:
    places = layout(NodeType(cores=8), 3, "none")
    assert [p.cores for p in places] == [(0, 1), (2, 3), (4, 5)]


def test_too_many_ranks_name_the_number_that_fits() -> None:
    with pytest.raises(LayoutError, match=r"9 ranks on a node with 8 GPUs.*num_gpus=8"):
        layout(MI250X, 9, "closest")
    with pytest.raises(LayoutError, match=r"17 ranks on a node with 16 free cores.*num_gpus=16"):
        layout(node(), 17, "cores")
    starved = node(reserved=tuple(range(8)), gpu=gpu("0-7", "8-15"))
    with pytest.raises(LayoutError, match="GPU 0 has 0 free cores"):
        layout(starved, 2, "mask")


def test_a_domain_without_its_reserved_core_gives_every_rank_as_few() -> None:
    places = layout(node(reserved=(0,), gpu=gpu("0-7", "8-15")), 2, "mask")
    assert [print_cores(p.cores) for p in places] == ["1-7", "8-14"]


def test_nics_follow_gpus() -> None:
    with_nics = replace(gpu("8-15", "0-7"), nics=("far", "near"))
    places = layout(node(gpu=with_nics), 2, "closest")
    assert [(p.gpu, p.nic) for p in places] == [(1, "near"), (0, "far")]


@st.composite
def nodes(draw: st.DrawFn) -> tuple[NodeType, int]:
    """A node of some domains, each with some GPUs, in any order, and a number of ranks."""
    domains = draw(st.integers(1, 4))
    width = draw(st.integers(4, 16))
    gpus_each = draw(st.integers(0, 4))
    ranges = [f"{d * width}-{(d + 1) * width - 1}" for d in range(domains)]
    cores = draw(st.permutations([text for text in ranges for _ in range(gpus_each)]))
    spare = width - max(1, gpus_each)
    taken = draw(st.sets(st.integers(0, width - 1), max_size=spare))
    reserved = tuple(sorted(d * width + core for d in range(domains) for core in taken))
    made = NodeType(
        cores=domains * width,
        numa=tuple(ranges),
        reserved=reserved,
        gpu=gpu(*cores) if cores else None,
    )
    most = len(cores) or len(free_cores(made))
    return made, draw(st.integers(1, most))


@given(nodes(), st.sampled_from(["closest", "mask", "cores", "rankfile"]))
@settings(deadline=None)
def test_every_layout(drawn: tuple[NodeType, int], binding: BindingStyle) -> None:
    made, ranks = drawn
    places = layout(made, ranks, binding)
    cores = [core for place in places for core in place.cores]
    assert len(places) == ranks
    assert len(cores) == len(set(cores)), "no core is shared"
    assert set(cores) <= set(free_cores(made)), "no core is reserved"
    assert len({len(place.cores) for place in places}) == 1
    assert all(place.cores for place in places)
    if made.gpu:
        assert len({place.gpu for place in places}) == ranks, "one GPU each"
        for place in places:
            assert place.gpu is not None
            assert set(place.cores) <= set(parse_cores(made.gpu.cores[place.gpu]))
            assert set(place.cores) <= set(parse_cores(made.numa[place.numa]))
