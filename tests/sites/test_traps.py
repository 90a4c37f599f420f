"""The traps of real centres, each held by data or a rule. The names carry the traps' numbers."""

import pytest

from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.sites.times import parse_time, print_time
from neox.submit.plan import Plan
from neox.submit.render import render
from neox.submit.words import Literal, Word
from tests.golden.cases import plan_for
from tests.sites.shelf_of import shipped_shelf

SLURM = ("perlmutter", "leonardo", "clariden", "juwels-booster", "jean-zay", "coreweave")


def site(name: str) -> Profile:
    return load_site(name, shipped_shelf())


def text(word: Word) -> str:
    return "".join(part.text if isinstance(part, Literal) else f"${part.name}" for part in word)


def line(made: Plan) -> str:
    return " ".join(text(word) for word in made.launch.argv)


def variables(made: Plan) -> dict[str, str]:
    return {v.name: text(v.value) for v in (*made.variables, *made.rank_variables)}


def job(name: str, nodes: int) -> str:
    return render(plan_for(name, nodes), link=1).job


def test_trap_1_time_depends_on_the_number_of_nodes() -> None:
    hours = {
        name: [part.seconds / 3600 for part in site(name).queues[0].bins]
        for name in ("frontier", "summit")
    }
    assert hours == {"frontier": [2, 6, 12], "summit": [2, 6, 12, 24]}
    debug = next(queue for queue in site("clariden").queues if queue.name == "debug")
    # CSCS counts node-minutes: 90 of them
    assert [part.low * part.seconds // 60 for part in debug.bins] == [90, 90, 90, 90]


@pytest.mark.parametrize(
    ("name", "order"),
    [("frontier", "45236701"), ("lumi", "01234567"), ("perlmutter", "3210")],
)
def test_trap_2_the_gpu_of_a_rank_is_not_its_number(name: str, order: str) -> None:
    made = plan_for(name, 12)
    assert "".join(str(place.gpu) for place in made.layout) == order


def test_trap_2_perlmutters_ranks_see_their_gpus_reversed() -> None:
    made = plan_for("perlmutter", 12)
    # inside the rank: srun itself sets the variable for each task
    assert [(v.name, text(v.value)) for v in made.rank_variables] == [
        ("CUDA_VISIBLE_DEVICES", "3,2,1,0")
    ]


def test_trap_3_the_same_flag_is_right_here_and_wrong_there() -> None:
    asks = {name: "--gpus-per-task=1" in line(plan_for(name, 12)) for name in (*SLURM, "vista")}
    assert [name for name, yes in asks.items() if yes] == ["clariden"]
    assert "--gpus-per-task=1" in line(plan_for("frontier", 12))
    assert "--gpus-per-task" not in line(plan_for("lumi", 12))
    assert "--gpu-bind=none" in line(plan_for("perlmutter", 12))
    vista = job("vista", 12)
    assert "--gres" not in vista
    assert "gpus-per" not in vista


@pytest.mark.parametrize(("name", "usable"), [("frontier", 56), ("lumi", 56), ("summit", 42)])
def test_trap_4_reserved_cores_are_never_given(name: str, usable: int) -> None:
    made = plan_for(name, 12)
    taken = {core for place in made.layout for core in place.cores}
    assert not taken & set(made.node_type.reserved)
    assert made.node_type.cores - len(made.node_type.reserved) == usable == len(taken)


@pytest.mark.parametrize("name", SLURM)
def test_trap_5_srun_is_told_its_cores_and_inherits_none(name: str) -> None:
    made = plan_for(name, 12)
    assert "--cpus-per-task=" in line(made)
    assert "SRUN_CPUS_PER_TASK" not in job(name, 12)
    masks = line(plan_for("lumi", 12))
    assert "mask_cpu:" in masks
    assert "--cpus-per-task" not in masks


@pytest.mark.parametrize("name", ["frontier", "lumi", "jean-zay", "juwels-booster", "jupiter"])
def test_trap_6_no_torchrun_under_srun(name: str) -> None:
    made = job(name, 12)
    assert "torchrun" not in made
    assert "torch.distributed" not in made


def test_trap_7_every_scheduler_writes_time_otherwise() -> None:
    seconds = 36 * 3600
    written = {kind: print_time(seconds, kind) for kind in ("slurm", "lsf", "pbs", "flux")}
    assert written == {"slurm": "1-12:00:00", "lsf": "36:00", "pbs": "36:00:00", "flux": "36h"}
    for kind in ("slurm", "lsf", "pbs", "flux"):
        assert parse_time(written[kind], kind) == seconds


def test_trap_8_one_alloc_flags_line_and_a_launch_node() -> None:
    summit = job("summit", 12)
    assert summit.count("#BSUB -alloc_flags") == 1
    assert '"smt1 nvme"' in summit
    assert site("summit").scheduler.runs_on == "launch"
    assert "hostname -i" not in summit


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("frontier", "MASTER_ADDR=$(hostname -i)"),
        ("lumi", 'hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")'),
        ("summit", '} <"$LSB_DJOB_HOSTFILE"'),
        ("juwels-booster", "MASTER_ADDR+=i\n"),
    ],
)
def test_trap_9_each_site_finds_its_first_host_its_own_way(name: str, says: str) -> None:
    assert says in job(name, 12)


def test_trap_10_fabric_variables_are_the_sites_own() -> None:
    for entry in shipped_shelf().entries():
        assert site(entry.name).env.get("FI_MR_CACHE_MONITOR") != "memhooks", entry.name
    found = {n: variables(plan_for(n, 12)) for n in ("frontier", "lumi", "clariden")}
    assert [found[name]["FI_MR_CACHE_MONITOR"] for name in found] == [
        "kdreg2",
        "userfaultfd",
        "userfaultfd",
    ]
    assert found["clariden"]["NCCL_NET"] == "AWS Libfabric"
    assert found["frontier"]["NCCL_NET"] == "OFI"
    assert variables(plan_for("frontier", 1))["NCCL_NET"] == "Socket"


def test_trap_11_lumis_hanging_images_are_asked_about() -> None:
    assert any("second process group" in asked for asked in plan_for("lumi", 12).questions)


def test_trap_12_read_only_homes_and_nodes_without_internet() -> None:
    assert site("summit").storage["home"].compute_access == "ro"
    for name in ("jean-zay", "marenostrum5", "leonardo"):
        found = variables(plan_for(name, 12))
        assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == "1"
        assert found["WANDB_MODE"] == "offline"
    assert "HF_HUB_OFFLINE" not in variables(plan_for("clariden", 12))
    assert any("internet" in asked for asked in plan_for("leonardo", 12).questions)


@pytest.mark.parametrize(("name", "proxy"), [("frontier", "http://proxy.ccs.ornl.gov:3128")])
def test_trap_12_a_proxy_in_both_spellings(name: str, proxy: str) -> None:
    found = variables(plan_for(name, 12))
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        assert found[variable] == proxy
    assert "localhost" in found["no_proxy"].split(",")
    assert "HF_HUB_OFFLINE" not in found


@pytest.mark.parametrize(
    ("name", "area", "days"),
    [
        ("vista", "run", 10),
        ("clariden", "scratch", 14),
        ("clariden", "run", 30),
        ("leonardo", "run", 40),
        ("perlmutter", "run", 56),
        ("frontier", "run", 90),
        ("lumi", "run", 90),
    ],
)
def test_trap_13_purge_clocks(name: str, area: str, days: int) -> None:
    assert site(name).storage[area].purge_days == days


def test_trap_14_no_tmpdir_on_summit() -> None:
    assert "unset TMPDIR\n" in job("summit", 12)


def test_trap_15_nothing_is_hard_coded_for_jsrun_or_mpirun() -> None:
    assert "jsrun -n12 -r1 -g6 -a6 -c42 -bpacked:7" in line(plan_for("summit", 12))
    assert "CUDA_VISIBLE_DEVICES" not in job("summit", 12)
    assert "eth0" not in line(plan_for("openmpi", 12))


@pytest.mark.parametrize("name", [*SLURM, "jupiter", "vista", "aws-parallelcluster", "stability"])
def test_trap_16_caches_leave_home_and_are_of_one_job(name: str) -> None:
    found = variables(plan_for(name, 12))
    for variable in ("TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH"):
        assert found[variable].startswith("/tmp/neox-$job_id/")


def test_trap_17_a_shared_gpu_0_is_ruled_out() -> None:
    """In compute mode "default" ranks that all see every GPU would silently share the first."""
    clariden = site("clariden").launcher
    assert clariden.gpu_visibility == "one"
    assert "--gpus-per-task=1" in clariden.flags


@pytest.mark.parametrize(
    ("name", "directive"),
    [
        ("perlmutter", "--account=m1234_g"),
        ("perlmutter", "--constraint=gpu"),
        ("jean-zay", "--account=abc@h100"),
        ("jean-zay", "--constraint=h100"),
        ("stability", "--comment=eleuther"),
    ],
)
def test_trap_18_mandatory_extras(name: str, directive: str) -> None:
    assert directive in [each.text for each in plan_for(name, 12).directives]


def test_claridens_binding_word_for_word() -> None:
    made = plan_for("clariden", 12)
    assert line(made).startswith("srun --nodes=12 --ntasks=48 --ntasks-per-node=4")
    # ranks 0-71, 72-143, 144-215, 216-287 beside GPU 0 to 3 (docs/alps/hardware.md)
    spans = [(place.gpu, place.cores[0], place.cores[-1]) for place in made.layout]
    assert spans == [(i, 72 * i, 72 * i + 71) for i in range(4)]


def test_perlmutters_binding_word_for_word() -> None:
    made = line(plan_for("perlmutter", 12))
    for words in ("--ntasks-per-node=4", "--cpus-per-task=32", "--gpus-per-node=4"):
        assert f" {words} " in made
    assert " --cpu-bind=cores " in made
    assert " --gpu-bind=none " in made
