"""The launch lines of each launcher, word for word."""

from dataclasses import replace

import pytest

from neox.sites.profile import Modules
from neox.submit.layout import free_cores, hardware_threads
from neox.submit.plan import Plan
from neox.submit.render import render
from tests.submit.askings import argv, ask, plan, refused, site
from tests.submit.launchers.readers import file_of
from tests.submit.launchers.test_dialects import HOSTS, NODES, made

V100 = site("summit").node_types[0]


def line(made: Plan) -> str:
    return " ".join(argv(made))


def test_mpich() -> None:
    here = made("mpich", "user-list", NODES["straight"], 4)
    assert line(here) == (
        "mpiexec.hydra -np 8 -ppn 4 -f $link/hostfile "
        "-bind-to user:0+1+2+3,4+5+6+7,8+9+10+11,12+13+14+15"
    )
    assert file_of(here, "hostfile") == "node1:4\nnode2:4\n"


def test_intel_mpi() -> None:
    """Its masks need 0x: without, 2021.18 prints an error and pins its own way."""
    here = made("intelmpi", "mask", NODES["straight"], 4)
    assert line(here).endswith("-genv I_MPI_PIN_DOMAIN [0xf,0xf0,0xf00,0xf000]")
    assert line(made("intelmpi", "wrapper", NODES["straight"], 4)).endswith("-genv I_MPI_PIN 0")


def test_intel_mpi_heeds_ppn_inside_an_allocation() -> None:
    slurm = site("slurm")
    launcher = replace(slurm.launcher, kind="intelmpi", binding="wrapper", flags=())
    here = plan(ask("slurm", "pythia/14M"), replace(slurm, launcher=launcher))
    assert argv(here)[:3] == ["env", "I_MPI_JOB_RESPECT_PROCESS_PLACEMENT=0", "mpiexec.hydra"]


def test_mvapich() -> None:
    affinity = "-genv MV2_ENABLE_AFFINITY 0 -genv MVP_ENABLE_AFFINITY 0"
    assert line(made("mvapich", "wrapper", NODES["straight"], 4)).endswith(affinity)


def test_pals() -> None:
    deep = made("pals", "depth", NODES["reversed"], 4)
    assert line(deep) == "mpiexec -n 8 --ppn 4 --depth=4 --cpu-bind depth"
    assert [place.gpu for place in deep.layout] == [3, 2, 1, 0]
    assert render(deep, link=1).rank.count("export CUDA_VISIBLE_DEVICES=3,2,1,0") == 1


def test_pals_says_lists_where_a_core_is_reserved() -> None:
    listed = made("pals", "depth", NODES["reserved"], 4)
    assert line(listed) == "mpiexec -n 8 --ppn 4 --cpu-bind list:1-3:5-7:9-11:13-15"


def test_pals_size_has_a_second_name() -> None:
    rank = render(made("pals", "depth", NODES["straight"], 4), link=1).rank
    assert "PALS_SIZE=${PALS_SIZE:-${PMI_SIZE-}}" in rank


def test_flux_quotes_its_semicolons() -> None:
    here = made("flux", "map", NODES["reversed"], 4)
    assert line(here) == (
        "flux run --exclusive --nodes=2 --tasks-per-node=4 -o exit-on-error "
        "-o cpu-affinity=map:12-15;8-11;4-7;0-3 -o gpu-affinity=map:0;1;2;3"
    )
    job = render(here, link=1).job
    assert "'cpu-affinity=map:12-15;8-11;4-7;0-3'" in job
    assert "'gpu-affinity=map:0;1;2;3'" in job


def test_flux_leaves_all_to_mpibind() -> None:
    here = made("flux", "mpibind", NODES["straight"], 4)
    assert "affinity" not in line(here)
    assert "were planned" not in render(here, link=1).rank.split("# --- what it prints")[1]


def test_pdsh() -> None:
    here = made("pdsh", "wrapper", NODES["straight"], 4)
    assert line(here) == (
        "env WCOLL=$link/hosts pdsh -R exec -S -N -f 2 /bin/bash $link_for_pdsh/node.sh reach %h %n"
    )
    node = render(here, link=1).node or ""
    assert "declare -px MASTER_ADDR MASTER_PORT NEOX_JOB_ID" in node


def test_a_launcher_of_another_name_or_place() -> None:
    base = site("mpich")
    launcher = replace(base.launcher, command="/opt/mpich/bin/mpiexec")
    asked = ask("mpich", "pythia/14M", overrides=("num_gpus=2",))
    here = plan(asked, replace(base, launcher=launcher), hosts=HOSTS)
    assert argv(here)[0] == "/opt/mpich/bin/mpiexec"
    assert "started by mpiexec from job.sh" in render(here, link=1).rank


@pytest.mark.parametrize("name", ["openmpi", "pdsh"])
def test_modules_reach_ranks_that_ssh_starts(name: str) -> None:
    base = site(name)
    modules = Modules(load=("cuda",), prepend={"PYTHONUSERBASE": ("/x",)})
    asked = ask(name, "pythia/14M", overrides=("num_gpus=2",))
    here = plan(asked, replace(base, modules=modules), hosts=HOSTS)
    assert {"PATH", "LD_LIBRARY_PATH", "PYTHONUSERBASE"} <= set(here.launch.forward)


# --- torchrun ------------------------------------------------------------------------------------


def torchrun(scheduler: str, **changes: object) -> Plan:
    base = site(scheduler)
    launcher = replace(
        base.launcher, kind="torchrun", binding="wrapper", gpu_visibility="all", flags=()
    )
    base = replace(base, launcher=launcher, node_types=(NODES["straight"],), **changes)  # type: ignore[arg-type]
    asked = ask(scheduler, "pythia/14M", overrides=("num_gpus=4",))
    return plan(asked, base, nodes=2)


@pytest.mark.parametrize(
    ("scheduler", "starts", "number"),
    [
        (
            "slurm",
            "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=16",
            "SLURM_PROCID",
        ),
        ("lsf", "jsrun -n2 -r1 -g4 -a1 -c16 -bpacked:16", "JSM_NAMESPACE_RANK"),
        ("pbs", "mpiexec -n 2 --ppn 1 --cpu-bind none", "PALS_RANKID"),
        ("flux", "flux run --exclusive --nodes=2 --tasks-per-node=1", "FLUX_TASK_RANK"),
    ],
)
def test_one_torchrun_a_node_by_the_schedulers_own_launcher(
    scheduler: str, starts: str, number: str
) -> None:
    """Trap 6: one task for each node, with all of its cores, and no second restart."""
    here = torchrun(scheduler)
    assert line(here).startswith(starts)
    node = (render(here, link=1).node or "").replace(" \\\n   ", "")
    assert f"node_rank=${number}\n" in node
    assert (
        '"$python" -P -m torch.distributed.run --nnodes=2 --nproc-per-node=4 '
        '"--node-rank=$node_rank" "--master-addr=$MASTER_ADDR" "--master-port=$MASTER_PORT" '
        '--max-restarts=0 --no-python "$link/rank.sh" </dev/null &'
    ) in node
    assert here.launch.rank_variable == "RANK"


def test_torchrun_on_this_machine_alone_needs_no_ssh() -> None:
    asked = ask("torchrun", "pythia/14M", overrides=("num_gpus=2",))
    here = plan(asked, nodes=1)
    assert argv(here) == []
    assert "node_rank=0\n" in (render(here, link=1).node or "")
    assert 'exec "$link/node.sh"' in render(here, link=1).job
    assert "hostfile=FILE" in refused(asked, nodes=2)


# --- jsrun's explicit resource files -------------------------------------------------------------


def test_what_counting_cannot_say_becomes_a_resource_file() -> None:
    here = made("jsrun", "resource-set", NODES["woven"], 4, nodes=1)
    assert line(here) == "jsrun --erf_input $link/resources"
    assert file_of(here, "resources") == (
        "cpu_index_using: logical\noverlapping_rs: allow\noversubscribe_gpu: allow\n"
        "rank: 0: { host: 1; cpu: {0,2}; gpu: {0,1,2,3} }\n"
        "rank: 1: { host: 1; cpu: {4,6}; gpu: {0,1,2,3} }\n"
        "rank: 2: { host: 1; cpu: {1,3}; gpu: {0,1,2,3} }\n"
        "rank: 3: { host: 1; cpu: {5,7}; gpu: {0,1,2,3} }\n"
    )


@pytest.mark.parametrize("threads", [1, 4])
def test_logical_cpus_are_those_of_the_centres_table(threads: int) -> None:
    """OLCF, ERF-CPU-Indexing: SMT1 4n and 4n + 4, SMT4 n and n + 4 on socket 0 and 1."""
    node = replace(V100, threads_per_core=threads)
    physical = [t for core in free_cores(node) for t in hardware_threads(node, core)]
    half = 21 * threads
    step = 4 // threads
    table = [step * n if n < half else step * n + 4 for n in range(2 * half)]
    assert physical == table
