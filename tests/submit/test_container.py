"""How each kind of container starts Python, or whole ranks."""

from dataclasses import replace
from pathlib import Path

import pytest

from neox.sites.problems import ProfileErrors
from neox.sites.profile import Container, Profile
from neox.submit.container import ContainerWords, container_words
from neox.submit.places import Names
from neox.submit.words import Literal, Word
from tests.golden.cases import plan_for
from tests.sites.shelf_of import SMALL, load_text
from tests.submit.askings import site

NAMES = Names(user="me", home=Path("/home/me"), account="abc123", cores_per_rank=7, gpus=8)


def words(container: Container) -> ContainerWords:
    machine: Profile = replace(site("slurm"), container=container)
    return container_words(machine, Path("/fs/run"), Path("/home/me"), NAMES, ("A", "B"))


def line(found: tuple[Word, ...]) -> str:
    return " ".join(
        "".join(p.text if isinstance(p, Literal) else f"${p.name}" for p in word) for word in found
    )


def test_without_a_container_nothing_is_added() -> None:
    assert words(Container()) == ContainerWords()


def test_apptainer_stands_before_python_in_ranks_and_job() -> None:
    kind = Container(kind="apptainer", image="/i/{account}.sif", binds=("/fs",), flags=("--nv",))
    found = words(kind)
    assert line(found.rank) == "apptainer exec --nv --bind /fs,/home/me /i/abc123.sif"
    assert found.job == found.rank
    assert found.launch == ()


def test_pyxis_takes_whole_ranks_and_the_jobs_variables_hold_inside() -> None:
    found = words(Container(kind="pyxis", image="/i/x.sqsh", binds=("/fs", "/a:/b")))
    mounts = "--container-mounts=/fs:/fs,/a:/b,/home/me:/home/me"
    assert line(found.launch) == f"--container-image=/i/x.sqsh {mounts} --container-env=A,B"
    assert line(found.job) == f"srun --nodes=1 --ntasks=1 --container-image=/i/x.sqsh {mounts}"
    assert found.rank == ()


def test_the_container_engine_reads_its_own_file() -> None:
    found = words(Container(kind="container-engine", image="/i/x.toml"))
    assert line(found.launch) == "--environment=/i/x.toml"
    assert line(found.job) == "srun --nodes=1 --ntasks=1 --environment=/i/x.toml"


def test_charliecloud_ends_its_own_options() -> None:
    found = words(Container(kind="charliecloud", image="/i/x", flags=("--set-env",)))
    # the run and the working folder, which both are seen inside
    binds = {"--bind=/fs/run:/fs/run", "--bind=/home/me:/home/me"}
    first, second, *rest = line(found.rank).split()
    assert (first, second, rest[-2:]) == ("ch-run", "--set-env", ["/i/x", "--"])
    assert set(rest[:-2]) == binds


def test_shifter_brings_the_centres_file_systems_itself() -> None:
    found = words(
        Container(kind="shifter", image="nersc/pytorch:24.08.01", flags=("--module=gpu",))
    )
    assert line(found.rank) == "shifter --image=nersc/pytorch:24.08.01 --module=gpu"


def test_the_launch_line_of_a_whole_rank_container() -> None:
    made = plan_for("coreweave", 12)
    assert "--container-image=/mnt/data/neox/neox.sqsh" in line(made.launch.argv)
    assert made.container == ()
    assert line(made.job_container).startswith("srun --nodes=1 --ntasks=1 --container-image=")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[container]\nkind = "pyxis"\nimage = "/x.sqsh"', 'is "container", with a path inside'),
        ('[container]\nkind = "apptainer"', "container.image"),
        ('[network]\nproxy = "http://p:1"', 'goes with access = "proxy"'),
        ('[caches]\nnode = "/tmp/x"', "holds {job_id}"),
        (
            '[storage]\nhome = { path = "/home/{user}", compute_access = "ro" }\n'
            '[toolchain]\nkind = "cuda"\ncc = "nvcc"\narch = ["sm_90"]',
            "caches.kernels: is needed",
        ),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileErrors, match=message.replace("{", r"\{")):
        load_text(tmp_path, f"{SMALL}\n{text}\n")
