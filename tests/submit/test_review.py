"""The page before pressing return: 80 columns, the plan's own figures, tables that fold."""

import dataclasses

import pytest

from neox.submit.plan import Plan
from neox.submit.review import review
from tests.golden.cases import plan_for
from tests.submit import plans


@pytest.mark.parametrize("site", ["frontier", "lumi", "summit", "slurm", "openmpi", "local"])
def test_the_page_fits_80_columns(site: str) -> None:
    page = review(plan_for(site, 1))
    assert page.endswith("\n") and page.isprintable() is False
    long = [line for line in page.splitlines() if len(line) > 80]
    assert all(len(line.split()) <= 2 for line in long)  # one word that cannot be broken
    assert "{" not in page and "None" not in page


def test_20b_on_frontier() -> None:
    page = review(plan_for("frontier", 12))
    for text in (
        "20B on OLCF Frontier (documented, facts read 2026-",
        "20.6 B parameters",
        "150,000 steps x 3.15 M tokens",
        "12 nodes x 8 x MI250X GCD = 96 ranks, 2:00:00",
        "limit 1-91 nodes: 2:00:00",
        "tensor 2 x pipeline 4 x data 12",
        "micro batch 4 x accumulation 32 x 12 = 1,536",
        "24 node-hours a link",
        "GPU   4    5     2      3      6      7      0      1",
        "cores 1-7  9-15  17-23  25-31  33-39  41-47  49-55  57-63",
        "cores 0,8,16,24,32,40,48,56 are kept free",
        "Which hsn belongs to which GPU?",
        "pipe_parallel_size: 4: pipeline stages are not built yet",
        "/proj/me/runs/20B/",
    ):
        assert text in page, text


def test_what_is_estimated_says_so_and_what_is_unknown_is_left_out() -> None:
    plan = plan_for("frontier", 12)
    assert "steps a link" in review(plan)
    unknown = dataclasses.replace(plan, step_seconds=None, checkpoint_bytes=None)
    page = review(unknown)
    assert "steps a link" not in page and "GB each" not in page


def test_a_retired_machine_says_why_it_is_refused() -> None:
    assert "summit takes no jobs since 2024-11-15" in " ".join(
        review(plan_for("summit", 1)).split()
    )


def test_a_chain_in_parts() -> None:
    plan = dataclasses.replace(plan_for("frontier", 12), chain=4, chain_wanted=10)
    page = review(plan)
    assert "4 links, each after the one before it" in page
    assert "6 more later: neox-submit chain /proj/me/runs/20B" in page
    assert "96 node-hours for 4 links" in page


def test_many_ranks_fold() -> None:
    plan = bound(plan_for("frontier", 12))
    place = plan.layout[0]
    layout = tuple(dataclasses.replace(place, local_rank=rank) for rank in range(104))
    page = review(dataclasses.replace(plan, layout=layout))
    assert "... 97 more" in page
    assert len(page.splitlines()) < 60


def bound(plan: Plan) -> Plan:
    assert plan.site.launcher.binding != "none"
    return plan


def test_a_job_that_trains_nothing(tmp_path: object) -> None:
    from pathlib import Path

    plan = plans.plan(Path("/r/x"), "local", geometry=None)
    page = review(plan)
    assert "geometry" not in page and "GB each" not in page
    assert "1 node x 2 on CPU = 2 ranks" in page
