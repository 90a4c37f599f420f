"""The traps of real centres, each held by data or a rule. The names carry the traps' numbers."""

import re
from pathlib import Path

import pytest

from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.sites.times import parse_time, print_time
from neox.submit.plan import Plan
from neox.submit.problem import PlanError
from neox.submit.render import render
from neox.submit.words import Literal, Word
from tests.golden.cases import plan_for
from tests.sites.shelf_of import shipped_shelf
from tests.submit.askings import ask, plan

SLURM = ("perlmutter", "leonardo", "clariden", "juwels-booster", "jean-zay", "coreweave")
NAMES = [entry.name for entry in shipped_shelf().entries()]


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


def test_each_trap_has_a_test_and_a_line_for_people() -> None:
    tested = {int(name.split("_")[2]) for name in globals() if name.startswith("test_trap_")}
    lines = (Path(__file__).parents[2] / "docs" / "traps.md").read_text().splitlines()
    told = [int(found[1]) for line in lines if (found := re.match(r"\| (\d+) \|", line))]
    assert tested == set(range(1, 19))
    assert told == list(range(1, 19))


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
    ("name", "hours"),
    [
        ("polaris", [(10, 24, 3), (25, 99, 6), (100, 496, 24)]),
        ("aurora", [(256, 1024, 12), (1025, 1999, 18), (2000, 10624, 24)]),
    ],
)
def test_trap_1_the_bins_of_a_routing_queue(name: str, hours: list[tuple[int, int, int]]) -> None:
    prod = site(name).queues[0]
    assert [(part.low, part.high, part.seconds // 3600) for part in prod.bins] == hours
    assert prod.word == "prod"  # never one of the queues that it routes to


@pytest.mark.parametrize(
    ("nodes", "time", "says"),
    [
        (9, 3600, "9 nodes: polaris/prod takes 10-24, 25-99, 100-496 nodes"),
        (497, 3600, "497 nodes: polaris/prod takes 10-24, 25-99, 100-496 nodes"),
        (24, 4 * 3600, "24 nodes for 4:00:00 exceeds 3:00:00 on polaris/prod"),
    ],
)
def test_trap_1_polaris_would_drop_such_a_job_without_a_word(
    nodes: int, time: int, says: str
) -> None:
    batch = ("train_micro_batch_size_per_gpu=1", "gradient_accumulation_steps=1")
    request = ask("polaris", "pythia/160M", (*batch, "train_batch_size=null"))
    with pytest.raises(PlanError, match=re.escape(says)):
        plan(request, nodes=nodes, seconds=time, account="datascience")


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("frontier", "4 5 2 3 6 7 0 1"),
        ("lumi", "0 1 2 3 4 5 6 7"),
        ("perlmutter", "3 2 1 0"),
        ("polaris", "3 2 1 0"),
        ("juwels-booster", "1 0 3 2"),
        ("aurora", "0 1 2 3 4 5 6 7 8 9 10 11"),
        ("tuolumne", "0 1 2 3"),
    ],
)
def test_trap_2_the_gpu_of_a_rank_is_not_its_number(name: str, order: str) -> None:
    made = plan_for(name, 12)
    assert " ".join(str(place.gpu) for place in made.layout) == order


@pytest.mark.parametrize("name", ["perlmutter", "polaris"])
def test_trap_2_ranks_see_their_gpus_reversed(name: str) -> None:
    made = plan_for(name, 12)
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


def test_trap_4_aurora_keeps_two_cores_and_tuolumne_three_of_each_apu() -> None:
    aurora, tuolumne = plan_for("aurora", 12), plan_for("tuolumne", 12)
    assert aurora.node_type.reserved == (0, 52)  # and their threads 104, 156
    assert [place.cores[0] for place in aurora.layout][::6] == [1, 53]
    assert tuolumne.node_type.cores - len(tuolumne.node_type.reserved) == 84
    assert [len(place.cores) for place in tuolumne.layout] == [21] * 4
    assert variables(tuolumne)["OMP_NUM_THREADS"] == "21"


@pytest.mark.parametrize("name", SLURM)
def test_trap_5_srun_is_told_its_cores_and_inherits_none(name: str) -> None:
    made = plan_for(name, 12)
    assert "--cpus-per-task=" in line(made)
    assert "SRUN_CPUS_PER_TASK" not in job(name, 12)
    masks = line(plan_for("lumi", 12))
    assert "mask_cpu:" in masks
    assert "--cpus-per-task" not in masks


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("local", "torchrun")])
def test_trap_6_no_torchrun_under_srun(name: str) -> None:
    made = render(plan_for(name, 12), link=1)
    for script in (made.job, made.rank, made.node or ""):
        assert "torchrun" not in script
        assert "torch.distributed" not in script


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
        ("polaris", 'read -r MASTER_ADDR <"$PBS_NODEFILE"'),
        ("polaris", "MASTER_ADDR+=.hsn.cm.polaris.alcf.anl.gov\n"),
        ("aurora", "MASTER_ADDR+=.hsn.cm.aurora.alcf.anl.gov\n"),
        ("tuolumne", "MASTER_ADDR=$(flux exec -r 0 hostname)"),
    ],
)
def test_trap_9_each_site_finds_its_first_host_its_own_way(name: str, says: str) -> None:
    assert says in job(name, 12)


def test_trap_10_fabric_variables_are_the_sites_own() -> None:
    for entry in shipped_shelf().entries():
        assert site(entry.name).env.get("FI_MR_CACHE_MONITOR") != "memhooks", entry.name
    names = ("frontier", "lumi", "clariden", "polaris", "aurora", "tuolumne")
    found = {name: variables(plan_for(name, 12)) for name in names}
    monitors = {name: found[name]["FI_MR_CACHE_MONITOR"] for name in names}
    assert monitors == dict.fromkeys(names, "userfaultfd") | {"frontier": "kdreg2"}
    assert found["frontier"]["NCCL_NET"] == "OFI"
    for name in ("clariden", "polaris", "tuolumne"):  # the plugin's older name
        assert found[name]["NCCL_NET"] == "AWS Libfabric"


def test_trap_10_the_plugin_is_not_forced_on_one_node() -> None:
    assert variables(plan_for("frontier", 1))["NCCL_NET"] == "Socket"
    assert "NCCL_NET" not in variables(plan_for("tuolumne", 1))
    assert "NCCL_NET" not in variables(plan_for("polaris", 1))


def test_trap_11_lumis_hanging_images_are_asked_about() -> None:
    assert any("second process group" in asked for asked in plan_for("lumi", 12).questions)


def test_trap_12_read_only_homes_and_nodes_without_internet() -> None:
    assert site("summit").storage["home"].compute_access == "ro"
    store = variables(plan_for("summit", 12))["NEOX_KERNELS"]  # a job can build them there
    assert store.startswith(site("summit").storage["run"].path.partition("{")[0])
    for name in ("jean-zay", "marenostrum5", "leonardo"):
        found = variables(plan_for(name, 12))
        assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == "1"
        assert found["WANDB_MODE"] == "offline"
    assert "HF_HUB_OFFLINE" not in variables(plan_for("clariden", 12))
    assert any("internet" in asked for asked in plan_for("leonardo", 12).questions)


@pytest.mark.parametrize(
    ("name", "proxy"),
    [
        ("frontier", "http://proxy.ccs.ornl.gov:3128"),
        ("polaris", "http://proxy.alcf.anl.gov:3128"),
        ("aurora", "http://proxy.alcf.anl.gov:3128"),
    ],
)
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


def test_trap_14_a_short_tmpdir_on_polaris() -> None:
    """PBS's own is longer than the path of a socket may be."""
    assert "\nexport TMPDIR=/tmp\n" in job("polaris", 12)


def test_trap_15_nothing_is_hard_coded_for_jsrun_or_mpirun() -> None:
    assert "jsrun -n12 -r1 -g6 -a6 -c42 -bpacked:7" in line(plan_for("summit", 12))
    assert "CUDA_VISIBLE_DEVICES" not in job("summit", 12)
    assert "eth0" not in line(plan_for("openmpi", 12))


@pytest.mark.parametrize(
    "name",
    [*SLURM, "jupiter", "vista", "aws-parallelcluster", "stability", "polaris"],
)
def test_trap_16_caches_leave_home_and_are_of_one_job(name: str) -> None:
    found = variables(plan_for(name, 12))
    for variable in ("TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH"):
        assert found[variable].startswith("/tmp/neox-$job_id/")


@pytest.mark.parametrize("name", ["frontier", "lumi", "tuolumne"])
def test_trap_16_miopens_too(name: str) -> None:
    found = variables(plan_for(name, 12))
    for variable in ("MIOPEN_USER_DB_PATH", "MIOPEN_CUSTOM_CACHE_DIR", "TORCH_EXTENSIONS_DIR"):
        assert re.match(r"/tmp/(neox|miopen)-\$job_id", found[variable])
    assert not found["HF_HOME"].startswith("/home")


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
        ("frontier", "--account=abc123"),
        ("lumi", "--account=project_462000001"),
        ("polaris", "-l filesystems=home:eagle"),
        ("polaris", "-l select=12:system=polaris"),
        ("polaris", "-l place=scatter"),
        ("polaris", "-A datascience"),
        ("aurora", "-l filesystems=home:flare"),
        ("aurora", "-A datascience"),
        ("aurora", "-l select=12"),
        ("tuolumne", "--setattr=bank=guests"),
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


def test_polariss_binding_word_for_word() -> None:
    """docs/polaris/running-jobs/using-gpus.md, with GPU 3 - local rank."""
    made = plan_for("polaris", 12)
    assert line(made) == "mpiexec -n 48 --ppn 4 --depth=8 --cpu-bind depth"
    spans = [(place.gpu, place.cores[0], place.cores[-1]) for place in made.layout]
    assert spans == [(3, 0, 7), (2, 8, 15), (1, 16, 23), (0, 24, 31)]


def test_auroras_binding_word_for_word() -> None:
    """docs/aurora/running-jobs-aurora.md, example 4: depth would split rank 6 over both sockets."""
    made = plan_for("aurora", 12)
    listed = "1-8:9-16:17-24:25-32:33-40:41-48:53-60:61-68:69-76:77-84:85-92:93-100"
    assert line(made) == f"mpiexec -n 144 --ppn 12 --cpu-bind list:{listed}"
    assert made.rank_variables == ()  # neither ZE_AFFINITY_MASK nor gpu_tile_compact.sh
    assert variables(made)["ZE_FLAT_DEVICE_HIERARCHY"] == "FLAT"


def test_tuolumnes_launch_word_for_word() -> None:
    """HPC-launcher's flags; mpibind is the plugin that is there unless it is switched off."""
    made = line(plan_for("tuolumne", 12))
    assert made.startswith("flux run --exclusive --nodes=12 --tasks-per-node=4 ")
    assert made.endswith(" -onosetpgrp -ofastload=on --setattr=rdzv_get_en=0")
    assert "affinity" not in made


def test_aurora_is_not_sent_a_job_that_would_train_on_its_cpus() -> None:
    refusal = plan_for("aurora", 12).refusal
    assert refusal is not None and "does not know Intel's GPUs" in refusal
