"""A machine is held against its profile: what ranks report, compared, and two real ranks."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neox.run.rank import read_rank
from neox.run.seen import Seen, SeenGpu, cpus_near
from neox.run.verify_site import Row, rank_rows, storage_rows, table
from neox.sites.profile import StorageArea
from neox.submit.plan import Plan
from neox.submit.run_files import prepare_again
from tests.golden.cases import plan_for
from tests.run.test_preflight import link_of

# Frontier's GPU 4, 5, 2, 3, 6, 7, 0, 1 lie beside these cores, in that order
CORES = (range(1, 8), range(9, 16), range(17, 24), range(25, 32))
CORES += (range(33, 40), range(41, 48), range(49, 56), range(57, 64))


def frontier() -> Plan:
    return plan_for("frontier", 12)


def report(rank: int, **changes: object) -> Seen:
    cores = CORES[rank % 8]
    near = f"{cores[0] - 1}-{cores[-1]},{cores[0] + 63}-{cores[-1] + 64}"
    gpu = SeenGpu(name="AMD Instinct MI250X", memory_gb=68.7, near=near)
    made = Seen(
        rank=rank,
        local_rank=rank % 8,
        node=f"frontier{rank // 8:05}",
        cpus=tuple(cores),
        gpus=1,
        gpu=gpu,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def wrong(seen: list[Seen]) -> list[Row]:
    return [row for row in rank_rows(frontier(), seen) if row.agrees is False]


def test_a_machine_as_planned_has_nothing_wrong() -> None:
    rows = list(rank_rows(frontier(), [report(rank) for rank in range(96)]))
    assert len(rows) == 5 * 96
    assert all(row.agrees for row in rows)


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"cpus": (1, 2, 3)}, ("cores", "1-7", "1-3")),
        ({"gpus": 8}, ("GPUs", "1", "8")),
        (
            {"gpu": SeenGpu(name="MI100", memory_gb=34.3, near="0-7")},
            ("GPU", "MI250X GCD, 64 GB", "MI100, 34 GB"),
        ),
        (
            {"gpu": SeenGpu(name="MI250X", memory_gb=68.7, near="48-55")},
            ("GPU near", "1-7", "48-55"),
        ),
    ],
)
def test_what_differs_is_told(changes: dict[str, object], row: tuple[str, str, str]) -> None:
    seen = [report(rank) for rank in range(96)]
    seen[8] = report(8, **changes)
    (found,) = wrong(seen)
    assert (found.where, found.what, found.planned, found.seen) == ("rank 8", *row)


def test_ranks_dealt_over_the_nodes_in_turn_are_not_as_planned() -> None:
    seen = [report(rank, node=f"frontier{rank % 12:05}") for rank in range(96)]
    assert {row.what for row in wrong(seen)} == {"node"}


def test_a_hidden_device_is_a_question_and_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "0000:c1:00.0"
    folder.mkdir()
    assert cpus_near("0000:c1:00.0", tmp_path) is None
    (folder / "local_cpulist").write_text("0-7,64-71\n")
    assert cpus_near("0000:c1:00.0", tmp_path) == "0-7,64-71"
    gpu = SeenGpu(name="MI250X", memory_gb=68.7, near=None)
    rows = rank_rows(frontier(), [report(rank, gpu=gpu) for rank in range(96)])
    lines = list(table([row for row in rows if row.what == "GPU near"]))
    assert lines[1].split()[-3:] == ["not", "told", "?"]


def test_file_systems_are_tried(tmp_path: Path) -> None:
    link = link_of(tmp_path)
    (tmp_path / "scratch").mkdir()
    plan = prepare_again(link).plan
    storage = {
        "run": StorageArea(path=f"{tmp_path}/scratch"),
        "home": StorageArea(path=f"{tmp_path}/nowhere", compute_access="ro"),
        "disk": StorageArea(path=f"{tmp_path}/nowhere", needs="nvme"),
    }
    plan = dataclasses.replace(plan, site=dataclasses.replace(plan.site, storage=storage))
    rows = [(row.planned, row.seen, row.agrees) for row in storage_rows(plan, read_rank({}))]
    assert rows == [("rw", "rw", True), ("ro", "none", False), ("rw", "rw", True)]


@pytest.mark.slow
def test_two_real_ranks(tmp_path: Path) -> None:
    """On a machine that is not as the profile slurm says: the cores differ, and the code is 4."""
    link = link_of(tmp_path, "num_gpus=2")
    argv = [sys.executable, "-m", "neox.run.cli", "verify-site", str(link.run_config)]
    environ = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "::1"}
    environ |= {"MASTER_PORT": "29873", "NEOX_JOB_ID": "7", "NEOX_NODE": "n1"}
    ranks = [
        subprocess.Popen(
            argv,
            env={**environ, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [rank.communicate(timeout=90)[0] for rank in ranks]
    lines = said[0].splitlines()
    assert any(line.startswith("rank 1  node") and line.endswith("n1    ok") for line in lines)
    cores = [line for line in lines if " cores " in line]
    assert len(cores) == 2
    bad = any("NOT AS PLANNED" in line for line in lines)
    assert [rank.returncode for rank in ranks] == [4 if bad else 0, 0]
