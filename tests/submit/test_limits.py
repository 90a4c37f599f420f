"""Refusals name the limit, its source, and commands that are accepted."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from neox.sites.profile import StorageArea
from neox.sites.times import parse_time
from neox.submit.request import Request
from tests.submit.askings import ask, plan, refused, site

FLAGS = re.compile(r"--(?:nodes|time|chain|queue) [^\s,;]+")


def ways_out(text: str) -> list[str]:
    """ "...; use A, or B": the commands A and B."""
    return text.rsplit("; use ", maxsplit=1)[1].split(", or ")


def changed(request: Request, flags: str) -> Request:
    """The request with these flags, as a person would type them."""
    words = shlex.split(flags)
    for flag, value in zip(words[::2], words[1::2], strict=True):
        match flag:
            case "--nodes":
                request = replace(request, nodes=int(value))
            case "--chain":
                request = replace(request, chain=int(value))
            case "--time":
                request = replace(request, seconds=parse_time(value, "neox"))
            case "--queue":
                request = replace(request, queue=value)
    return request


def test_too_long_for_the_bin() -> None:
    request = replace(ask("frontier"), nodes=64, seconds=6 * 3600)
    text = refused(request)
    assert "64 nodes for 6:00:00 exceeds 2:00:00 on frontier/batch (1-91 nodes" in text
    assert "docs.olcf.ornl.gov/systems/frontier_user_guide.html, read 2026-07-22" in text
    assert ways_out(text)[:2] == ["--time 2:00:00 --chain 3", "--nodes 96"]
    for flags in ways_out(text):
        plan(changed(request, flags))


@pytest.mark.parametrize(
    ("nodes", "limit"),
    # Frontier user guide, bins of batch
    [(91, 2), (92, 6), (183, 6), (184, 12), (9472, 12)],
)
def test_bins_of_frontier(nodes: int, limit: int) -> None:
    request = ask("frontier", "pythia/14M")  # any node count fits
    request = replace(request, nodes=nodes, overrides=_batch_for(nodes * 8))
    assert plan(request, seconds=limit * 3600).seconds == limit * 3600
    text = refused(request, seconds=limit * 3600 + 60)
    for flags in ways_out(text):
        plan(changed(replace(request, seconds=limit * 3600 + 60), flags))


def _batch_for(ranks: int) -> tuple[str, ...]:
    return (f"train_batch_size={32 * ranks}", "train_micro_batch_size_per_gpu=32")


def test_more_nodes_than_the_queue_has() -> None:
    text = refused(ask("lumi"), nodes=1100)
    assert "1100 nodes: lumi/standard-g takes 1-1024 nodes" in text
    for flags in ways_out(text.splitlines()[-1]):
        plan(changed(ask("lumi"), flags))


def test_a_queue_that_is_not_there() -> None:
    assert "use batch, extended, debug" in refused(ask("frontier"), nodes=12, queue="fast")


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (None, "frontier charges every job to an account; use --account abc123"),
        ("ab1", "--account ab1 is no account of frontier"),
    ],
)
def test_accounts(account: str | None, expected: str) -> None:
    assert expected in refused(ask("frontier"), nodes=12, account=account)


def test_no_account_where_none_is_needed() -> None:
    assert plan(ask("slurm", "pythia/14M")).account is None


def test_a_chain_beyond_the_caps_is_submitted_in_part() -> None:
    made = plan(ask("frontier"), nodes=12, chain=250)
    assert (made.chain, made.chain_wanted) == (100, 250)  # 100 queued jobs for each user
    assert [w for w in made.warnings if "neox-submit chain RUN" in w]


def test_a_queue_that_forbids_chains() -> None:
    request = replace(ask("frontier"), nodes=12, queue="debug", chain=3)
    text = refused(request)
    assert "frontier/debug forbids chained jobs" in text
    for flags in ways_out(text):
        plan(changed(request, flags))


def test_a_job_kind_that_makes_no_chain() -> None:
    assert "a generate job is one link; use --chain 1" in refused(
        ask("frontier", kind="generate"), chain=2
    )
    assert "at least one link" in refused(ask("frontier"), nodes=12, chain=0)


def test_a_read_only_area() -> None:
    text = refused(ask("summit"), nodes=16, output=Path("/ccs/home/me/runs"))
    assert "/ccs/home/me is read-only on the compute nodes of summit" in text
    assert "use -o /gpfs/alpine2/abc123/scratch/me/runs" in text


def test_checkpoints_in_a_read_only_area() -> None:
    request = ask("summit", overrides=("save=/ccs/home/me/ckpt",))
    text = refused(request, nodes=16, output=Path("/gpfs/alpine2/abc123/scratch/me/runs"))
    assert text.startswith("save=/ccs/home/me/ckpt: /ccs/home/me is read-only on the compute nodes")
    assert "leave save out" in text


def test_an_area_that_is_wiped() -> None:
    text = refused(ask("frontier"), nodes=12, output=Path("/mnt/bb/me/runs"))
    assert "is wiped when a job of frontier ends" in text


def test_the_innermost_area_counts() -> None:
    frontier = site("frontier")
    inner = StorageArea(path="/lustre/orion/{account}/scratch/{user}/frozen", compute_access="ro")
    nested = replace(frontier, storage={**frontier.storage, "frozen": inner})
    path = Path("/lustre/orion/abc123/scratch/me/frozen/runs")
    assert "frozen is read-only" in refused(ask("frontier"), nested, nodes=12, output=path)


def test_home_and_purged_scratch_are_warned_of() -> None:
    scratch = Path("/lustre/orion/abc123/scratch/me/runs")
    made = plan(ask("frontier"), nodes=12, output=scratch)
    assert [w for w in made.warnings if "purged after 90 days" in w]
    made = plan(ask("frontier"), nodes=12, output=Path("/home/me/runs"))
    assert [w for w in made.warnings if "in your home directory" in w]


def test_checkpoints_beyond_the_quota() -> None:
    scratch = Path("/lustre/orion/abc123/scratch/me/runs")
    made = plan(ask("frontier"), nodes=12, output=scratch)
    warned = [w for w in made.warnings if "quota" in w]
    # 300 checkpoints of 20.6e9 x 12 bytes
    assert warned
    assert warned[0].startswith("300 checkpoints of 247 GB are 73,996 GB")
    better = re.search(r"keep_last_n_checkpoints=\d+", warned[0])
    assert better
    request = ask("frontier", overrides=(better[0],))
    made = plan(request, nodes=12, output=scratch)
    assert not [w for w in made.warnings if "quota" in w]


def test_everything_is_said_at_once() -> None:
    text = refused(ask("frontier"), nodes=13, account=None, seconds=12 * 3600, name="a b", chain=0)
    for part in ("account", "does not divide", "exceeds 2:00:00", "name:", "--chain 0"):
        assert part in text
    assert len(text.splitlines()) == 5


def test_a_tiny_site_suggests_nothing_that_fails() -> None:
    """Where no node count fits both the batch and the queue, none is named."""
    frontier = site("frontier")
    one = replace(frontier.queues[0], bins=(replace(frontier.queues[0].bins[0], low=5, high=5),))
    text = refused(ask("frontier"), replace(frontier, queues=(one,)), nodes=12)
    assert "takes 5 nodes" in text
    assert "; use" not in text
