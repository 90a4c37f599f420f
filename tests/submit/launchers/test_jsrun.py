"""jsrun's two documented forms, read back as jsrun deals cores."""

from dataclasses import replace

from neox.submit.layout import free_cores
from tests.submit.askings import argv, ask, plan, site


def test_deep_learning_form_of_the_centre() -> None:
    made = plan(ask("summit"), nodes=16)
    # OLCF, IBM WML CE page: jsrun -r1 -g6 -a6 -c42 -bpacked:7
    assert argv(made)[:7] == ["jsrun", "-n16", "-r1", "-g6", "-a6", "-c42", "-bpacked:7"]


def test_one_gpu_for_each_rank() -> None:
    summit = site("summit")
    launcher = replace(summit.launcher, gpu_visibility="one", flags=())
    made = plan(ask("summit"), replace(summit, launcher=launcher), nodes=16)
    # Summit user guide: jsrun -n... -r6 -a1 -c7 -g1 -bpacked:7 -dpacked
    assert " ".join(argv(made)) == "jsrun -n96 -r6 -a1 -c7 -g1 -bpacked:7 -dpacked"


def test_packed_cores_are_the_layout() -> None:
    made = plan(ask("summit"), nodes=16)
    packed = int(argv(made)[6].removeprefix("-bpacked:"))
    free = free_cores(made.node_type)
    dealt = [free[i * packed : (i + 1) * packed] for i in range(6)]
    assert dealt == [place.cores for place in made.layout]


def test_ranks_are_named_by_jsm() -> None:
    launch = plan(ask("summit"), nodes=16).launch
    assert (launch.rank_variable, launch.local_rank_variable, launch.size_variable) == (
        "JSM_NAMESPACE_RANK",
        "JSM_NAMESPACE_LOCAL_RANK",
        "JSM_NAMESPACE_SIZE",
    )


def test_a_job_without_gpus_takes_none() -> None:
    made = plan(replace(ask("summit", kind="prepare-data"), configs=()))
    assert "-g0" in argv(made)
    assert "-a1" in argv(made)
