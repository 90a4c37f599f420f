"""The shipped profiles against the numbers that the centres publish."""

import datetime

import pytest

from neox.sites.evidence import evidence, questions
from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.sites.ranges import parse_cores
from tests.sites.shelf_of import shipped_shelf

NAMES = [entry.name for entry in shipped_shelf().entries()]


def site(name: str) -> Profile:
    return load_site(name, shipped_shelf())


MACHINES = {"aurora", "aws-parallelcluster", "clariden", "coreweave", "frontier", "jean-zay"}
MACHINES |= {"jupiter", "juwels-booster", "leonardo", "lumi", "marenostrum5", "perlmutter"}
MACHINES |= {"polaris", "stability", "summit", "tuolumne", "vista"}
GENERIC = {"flux", "local", "lsf", "mpich", "openmpi", "pbs", "pdsh", "slurm", "torchrun"}


def test_these_are_shipped() -> None:
    assert set(NAMES) == MACHINES | GENERIC


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_a_machine_asks_what_its_sources_do_not_say(name: str) -> None:
    """None of the pages that the profiles rest on says everything."""
    assert questions(site(name))


@pytest.mark.parametrize("name", sorted(MACHINES - {"summit", "aurora"}))
def test_what_is_not_retired_may_be_submitted(name: str) -> None:
    assert site(name).policy.submit


def test_the_scheduler_warns_only_where_it_can() -> None:
    timers = {name for name in NAMES if site(name).signal.how == "timer"}
    assert timers == {name for name in NAMES if site(name).scheduler.kind not in ("slurm", "lsf")}


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_and_every_number_has_evidence(name: str) -> None:
    found = evidence(site(name), datetime.date(2026, 11, 24))
    assert found.without == ()


@pytest.mark.parametrize("name", ["frontier", "lumi"])
def test_the_published_cores_of_an_mi250x_node(name: str) -> None:
    """GCD to usable cores, as OLCF and LUMI print them with the first core of each L3 kept."""
    node = site(name).node_types[0]
    assert node.gpu is not None
    free = [[c for c in parse_cores(text) if c not in node.reserved] for text in node.gpu.cores]
    firsts = [49, 57, 17, 25, 1, 9, 33, 41]
    assert free == [list(range(first, first + 7)) for first in firsts]


def test_lumis_published_masks() -> None:
    node = site("lumi").node_types[0]
    assert node.gpu is not None
    masks = [
        f"{sum(1 << c for c in parse_cores(text) if c not in node.reserved):x}"
        for text in node.gpu.cores
    ]
    assert ",".join(masks) == (
        "fe000000000000,fe00000000000000,fe0000,fe000000,fe,fe00,fe00000000,fe0000000000"
    )


def test_frontiers_bins() -> None:
    (batch,) = (queue for queue in site("frontier").queues if queue.default)
    spans = [(part.low, part.high, part.seconds // 3600) for part in batch.bins]
    assert spans == [(1, 91, 2), (92, 183, 6), (184, 9472, 12)]
    assert batch.per_user.eligible == 4
    assert batch.per_user.queued == 100


def test_frontier_asks_for_whole_nodes_alone() -> None:
    scheduler = site("frontier").scheduler
    assert scheduler.whole_node == "--exclusive"
    assert scheduler.memory_line is None
    assert scheduler.gpus_line is None


def test_summit_is_retired_and_follows_the_deep_learning_advice() -> None:
    summit = site("summit")
    assert (summit.status, summit.policy.submit) == ("retired", False)
    assert summit.policy.since == "2024-11-15"
    assert (summit.launcher.binding, summit.launcher.gpu_visibility) == ("resource-set", "all")
    assert summit.env_when[0].unset == ("TMPDIR",)
    node = summit.node_type("default")
    assert node.gpus == 6
    assert node.cores - len(node.reserved) == 42
    # isolated hardware threads 84-87 and 172-175, four to a core
    assert [4 * core for core in node.reserved] == [84, 172]


def test_summits_homes_are_read_only() -> None:
    storage = site("summit").storage
    assert [a.path for a in storage.values() if a.compute_access == "ro"] == [
        "/ccs/home/{user}",
        "/ccs/proj/{account}",
    ]


def test_no_profile_lets_a_maximum_be_a_default() -> None:
    for name in NAMES:
        for queue in site(name).queues:
            longest = max((part.seconds for part in queue.bins), default=10**9)
            assert queue.default_seconds < longest
