"""Real Slurm and the shapes of other machines: LUMI's masks, a DGX's sockets, all of Frontier."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.jobs import Desk, call, losses
from tests.testbed.slurm import CloudController, SlurmCluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

SHAPES = {
    "testbed-lumi": ("project_465000001", "n"),
    "testbed-dgx": ("proj123", "d"),
}


@pytest.mark.parametrize("site", SHAPES)
def test_two_nodes_train_to_the_end(desk: Desk, site: str) -> None:
    """As on Frontier's shape, which test_training has: from submission to a finished run."""
    account, node = SHAPES[site]
    words = ("--site", site, "--account", account, "--nodes", "2", "--output", "runs")
    run = desk.run("trained", *words, "num_gpus=1", "train_iters=3")
    assert desk.wait_for_end(run, 240) == [0]
    assert max(losses(run)) == 3
    assert {path.name for path in run.logs.glob("*.log")} == {f"{node}1.0.log", f"{node}2.1.log"}


def test_a_dgx_has_a_rank_beside_each_gpu_and_uses_every_core(
    desk: Desk, slurm_cluster: SlurmCluster
) -> None:
    words = ("--site", "testbed-dgx", "--account", "proj123", "--nodes", "2", "--output", "runs")
    script = desk.neox_submit(*words, "--time", "0:10:00", "tiny.yml", "num_gpus=8", "--print")
    launch = re.search(r"exec (srun .*?)\"\$link/rank.sh\"", script, re.DOTALL)
    assert launch is not None
    rank, probe, output = (desk.folder / name for name in ("rank", "probe.sh", "out"))
    rank.write_text('#!/bin/bash\ncpus=$(taskset -cp $$)\necho "$SLURM_LOCALID ${cpus##*: }"\n')
    rank.chmod(0o755)
    header = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    header = [line for line in header if "--output" not in line]
    probe.write_text("\n".join(["#!/bin/bash", *header, f"{launch[1]} {rank}", ""]))
    call(["sbatch", "--wait", f"--output={output}", str(probe)], slurm_cluster.env)
    rows = sorted(output.read_text().splitlines())
    # fourteen cores each, with both threads: four ranks fill the first socket, four the second
    first = [14 * rank for rank in range(8)]
    cores = [f"{core}-{core + 13},{core + 112}-{core + 125}" for core in first]
    assert rows == sorted(f"{rank} {cores[rank]}" for rank in range(8) for _ in ("d1", "d2"))


def test_all_of_frontier_is_accepted_and_one_node_more_is_not(
    frontier_controller: CloudController, tmp_path: Path
) -> None:
    """The header that a person reviews, read by Slurm itself."""
    site = ("--site", "frontier", "--account", "abc123")
    desk = Desk(folder=tmp_path, env=frontier_controller.env, site=site)
    (tmp_path / "runs" / "tiny" / "logs").mkdir(parents=True)
    said = {}
    whole = frontier_controller.nodes
    for nodes in (whole, whole + 1):
        words = (*desk.site, "--nodes", str(nodes), "--time", "12:00:00", "--output", "runs")
        script = tmp_path / f"{nodes}.sh"
        script.write_text(desk.neox_submit(*words, "tiny.yml", "num_gpus=8", "--print"))
        said[nodes] = subprocess.run(
            ["sbatch", "--test-only", str(script)],
            env=frontier_controller.env,
            capture_output=True,
            text=True,
            check=False,
        )
    accepted, refused = said.values()
    assert accepted.returncode == 0, accepted.stderr
    assert f"c[00001-{whole:05}]" in accepted.stderr
    assert refused.returncode != 0
    assert "Node count specification invalid" in refused.stderr
