"""Every kept script runs under bash; modules, launchers, containers and Python are played."""

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit.plan import Plan
from neox.submit.words import Literal, Word
from tests.golden.cases import Case, cases, plan_for
from tests.golden.test_kept import SITES
from tests.submit.stand_ins import Machine, machine

# one of each scheduler and launcher
FAST = (
    "aurora/12-train",
    "frontier/12-train",
    "local/1-train",
    "lumi/12-chain",
    "mpich/12-train",
    "openmpi/12-train",
    "pdsh/12-train",
    "summit/12-train",
    "torchrun/12-train",
    "tuolumne/12-train",
)
TOGETHER = 4  # jobs at once: each waits more than it works


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.name in FAST], ids=lambda case: case.name
)
def test_a_kept_script_starts_its_ranks_as_planned(case: Case, tmp_path: Path) -> None:
    run(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("site", SITES)
def test_every_kept_script_does(site: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(TOGETHER) as pool:
        for case in SITES[site]:
            (tmp_path / case.name).mkdir(parents=True)
        list(pool.map(lambda case: run(case, tmp_path / case.name), SITES[site]))


def run(case: Case, folder: Path) -> None:
    """Only paths, nodes and ranks are fewer, two of each: the launcher gets the plan's words."""
    here = machine(folder)
    made = plan_for(case.site, case.nodes, case.kind)
    small = dataclasses.replace(
        made,
        run=RunPaths(here.run),
        python=here.python,
        layout=made.layout if case.site == "local" else made.layout[:2],
        nodes=min(made.nodes, 2),
        hosts=made.hosts[:2],
        request=dataclasses.replace(made.request, cwd=here.folder),
    )
    here.submit(small, case.link)
    code, printed = here.finish(
        case.link,
        CRAY_LD_LIBRARY_PATH="/cray",
        FAKE_NODES=str(small.nodes),
        FAKE_SIZE=str(small.ranks),
        FAKE_EACH=str(small.ranks_per_node),
        FAKE_NO_END="1",
    )
    assert code == 0, printed
    assert "preflight:" not in printed  # every node of several was tried, and found fit
    assert (here.state / "preflight").exists() == (small.preflight is not None)
    link = f"{here.run}/links/{case.link}"
    if made.launch.argv:
        assert recorded(here, "launch") == launched(made, link)
    for rank in range(small.ranks):
        assert_contract(here, small, rank)
        words = (here.state / f"argv.{rank}").read_text().split("\0")
        assert words == ["-P", "-m", "neox.run.cli", "train", f"{link}/run.yml"]
        if made.container:
            inside = [plain(word, link) for word in made.container]
            called = recorded(here, f"{inside[0]}.{rank}")
            assert called[: len(inside)] == inside
            assert called[-len(words) - 1 :] == [here.python, *words]
    if made.profile and made.profile.command:
        name = made.profile.command.rpartition("/")[2]
        called = {int(path.suffix[1:]) for path in here.state.glob(f"{name}.*")}
        assert called == set(range(0, small.ranks, small.ranks_per_node))  # one of each node
        assert recorded(here, f"{name}.0")[-len(words) - 1 :] == [here.python, *words]


def launched(plan: Plan, link: str) -> list[str]:
    """What the launcher is called with, behind `env` and the variables it gets."""
    words = [plain(word, link) for word in plan.launch.argv]
    if words[0] == "env":
        words = [word for word in words[1:] if not re.match(r"[A-Z_]+=", word)]
    if plan.launch.node is None:
        return [*words, f"{link}/rank.sh"]
    return words if plan.launch.node.over_ssh else [*words, f"{link}/node.sh"]


def recorded(here: Machine, name: str) -> list[str]:
    return (here.state / name).read_text().split("\0")[:-1]


def plain(word: Word, link: str) -> str:
    values = {"link": link, "link_for_pdsh": link}
    return "".join(part.text if isinstance(part, Literal) else values[part.name] for part in word)


def assert_contract(here: Machine, plan: Plan, rank: int) -> None:
    lines = (here.state / f"env.{rank}").read_text().split("\0")
    found = dict(line.split("=", 1) for line in lines)
    assert found["RANK"] == str(rank)
    assert found["LOCAL_RANK"] == str(rank % plan.ranks_per_node)
    assert found["WORLD_SIZE"] == str(plan.ranks)
    assert found["LOCAL_WORLD_SIZE"] == str(plan.ranks_per_node)
    assert 20000 <= int(found["MASTER_PORT"]) < 32000
    assert found["MASTER_ADDR"]
    assert found["NEOX_JOB_ID"]
    for variable in (*plan.variables, *plan.rank_variables):
        assert variable.name in found
    assert "PYTHONPATH" not in found
