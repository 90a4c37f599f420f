"""The srun line, read back as srun reads it, gives each rank the layout's cores."""

import re
from dataclasses import replace

from neox.sites.profile import Gpu, NodeType, Profile
from neox.submit.layout import free_cores
from neox.submit.plan import Plan
from tests.submit.askings import argv, ask, plan, refused, site
from tests.submit.test_layout import LUMI


def option(made: Plan, name: str) -> str | None:
    found = [word.split("=", 1)[1] for word in argv(made) if word.startswith(f"{name}=")]
    assert len(found) <= 1, f"{name} stands twice"
    return found[0] if found else None


def cores_of_ranks(made: Plan) -> list[set[int]]:
    """What srun does with the line on nodes whose reserved cores it never gives away."""
    bind = option(made, "--cpu-bind") or ""
    if bind.startswith("mask_cpu:"):
        masks = [int(text, 16) for text in bind.removeprefix("mask_cpu:").split(",")]
        return [{bit for bit in range(512) if mask >> bit & 1} for mask in masks]
    each = int(option(made, "--cpus-per-task") or "1")
    free = free_cores(made.node_type)
    return [set(free[i * each : (i + 1) * each]) for i in range(made.ranks_per_node)]


def planned(made: Plan) -> list[set[int]]:
    return [set(place.cores) for place in made.layout]


def dgx() -> Profile:
    slurm = site("slurm")
    cores = (*["0-55"] * 4, *["56-111"] * 4)
    card = Gpu(kind="H100", arch="sm_90", memory_gb=80, peak_tflops={"bf16": 989}, cores=cores)
    machine = NodeType(cores=112, smt=2, numa=("0-55", "56-111"), gpu=card)
    return replace(slurm, node_types=(machine,))


def reversed_gpus() -> Profile:
    """Perlmutter's order, GPU 0 beside the last cores, and a core of each domain left out."""
    cores = ("48-62", "32-46", "16-30", "0-14")
    card = Gpu(kind="A100", arch="sm_80", memory_gb=40, peak_tflops={}, cores=cores)
    domains = ("0-15", "16-31", "32-47", "48-63")
    machine = NodeType(cores=64, numa=domains, gpu=card)
    return replace(site("slurm"), node_types=(machine,))


def test_frontier_word_for_word() -> None:
    made = plan(ask("frontier"), nodes=12)
    assert " ".join(argv(made)) == (
        "srun --nodes=12 --ntasks=96 --ntasks-per-node=8 --cpus-per-task=7 --threads-per-core=1 "
        "--gpus-per-task=1 --gpu-bind=closest --kill-on-bad-exit=1"
    )
    assert cores_of_ranks(made) == planned(made)


def test_a_lone_rank_on_frontier_sits_beside_its_gpu() -> None:
    """Slurm would deal it cores 1-7, which are GPU 4's."""
    made = plan(ask("frontier", "pythia/14M", overrides=("num_gpus=1",)), nodes=1)
    assert [(place.gpu, place.cores) for place in made.layout] == [(0, tuple(range(49, 56)))]
    assert option(made, "--cpu-bind") == "mask_cpu:fe000000000000"
    assert not [w for w in argv(made) if w.startswith("--cpus-per-task")]
    assert cores_of_ranks(made) == planned(made)


def test_lumi_binds_by_masks_and_never_with_a_core_count() -> None:
    made = plan(ask("lumi"), nodes=12)
    assert option(made, "--cpu-bind") == "mask_cpu:" + ",".join(LUMI.split())
    assert not [
        w for w in argv(made) if re.match(r"-c|--cpus-per-task|--gpu-bind|--gpus-per-task", w)
    ]
    assert option(made, "--gpus-per-node") == "8"
    assert cores_of_ranks(made) == planned(made)


def test_a_dgx_counts_cores_in_order() -> None:
    made = plan(ask("slurm"), dgx(), nodes=12)
    assert option(made, "--cpus-per-task") == "14"
    assert option(made, "--cpu-bind") == "cores"
    assert option(made, "--distribution") == "block:block"
    assert cores_of_ranks(made) == planned(made)


def test_what_counting_cannot_say_becomes_masks() -> None:
    made = plan(ask("slurm"), reversed_gpus(), nodes=24)
    assert [place.gpu for place in made.layout] == [3, 2, 1, 0]
    assert (option(made, "--cpu-bind") or "").startswith("mask_cpu:7fff,7fff0000,")
    assert cores_of_ranks(made) == planned(made)


def test_masks_on_shared_nodes_are_refused() -> None:
    profile = reversed_gpus()
    shared = replace(profile, queues=(replace(profile.queues[0], exclusive=False),))
    assert "shares its nodes" in refused(ask("slurm"), shared, nodes=24)


def test_both_threads_of_a_core_when_the_profile_uses_them() -> None:
    machine = replace(dgx().node_types[0], threads_per_core=2)
    made = plan(ask("slurm"), replace(dgx(), node_types=(machine,)), nodes=12)
    assert option(made, "--cpus-per-task") == "28"
    assert option(made, "--threads-per-core") == "2"


def test_a_job_without_gpus_asks_for_none() -> None:
    for where in ("frontier", "lumi"):
        made = plan(replace(ask(where, kind="prepare-data"), configs=()))
        assert not [word for word in argv(made) if "gpu" in word]
        assert [d.text for d in made.directives if "gpu" in d.text] == []


def test_a_launch_argument_comes_last_and_a_profile_flag_is_not_doubled() -> None:
    frontier = site("frontier")
    launcher = replace(frontier.launcher, flags=("--threads-per-core=1", "--gpu-bind=closest"))
    made = plan(
        ask("frontier"), replace(frontier, launcher=launcher), nodes=12, launch_args=("--label",)
    )
    assert argv(made)[-1] == "--label"
    assert option(made, "--threads-per-core") == "1"


def test_closest_needs_ranks_that_see_one_gpu() -> None:
    frontier = site("frontier")
    launcher = replace(frontier.launcher, gpu_visibility="all")
    assert 'gpu_visibility = "one"' in refused(
        ask("frontier"), replace(frontier, launcher=launcher)
    )
