"""The wheel, as one gets it on a login node: two dependencies, an empty folder, no checkout."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment that holds the wheel and what it requires."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    subprocess.run(
        [*pip, "wheel", "-q", "--no-deps", "--wheel-dir", place, ROOT], check=True, cwd=place
    )
    (wheel,) = place.glob("neox-*.whl")
    venv.create(place / "env", with_pip=False)
    subprocess.run([*pip, "--python", place / "env", "install", "-q", wheel], check=True, cwd=place)
    return place / "env" / "bin"


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )


def test_a_login_node_gets_two_dependencies_and_their_own(installed: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", installed.parent, "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.lower()
    names = {line.partition("==")[0].partition(" ")[0] for line in listed.splitlines()}
    assert names == {"neox", "jinja2", "markupsafe", "pyyaml"}


def test_it_renders_from_its_own_shelves_in_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    request = ("--site", "frontier", "--account", "abc123", "--nodes", "12", "--print", "20B")
    result = run(installed / "neox-submit", *request, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "#SBATCH --nodes=12" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_sites_jobs_and_configs_are_listed(installed: Path, tmp_path: Path) -> None:
    sites = run(installed / "neox-submit", "sites", "list", cwd=tmp_path)
    jobs = run(installed / "neox-submit", "jobs", "list", cwd=tmp_path)
    names = ("llama2/70B", "llama/train_config", "slurm_local.json")
    check = run(installed / "neox", "config", "check", *names, cwd=tmp_path)
    assert all(site in sites.stdout for site in ("frontier", "lumi", "summit"))
    assert all(job in jobs.stdout for job in ("train", "generate"))
    assert check.returncode == 0, check.stderr


def test_the_engine_asks_for_its_extra_in_one_line(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "neox", "train", "run.yml", cwd=tmp_path)
    assert result.returncode == 4
    assert "neox[engine]" in result.stderr
    assert "Traceback" not in result.stderr


def test_kernels_ship_and_are_built_without_torch(installed: Path, tmp_path: Path) -> None:
    """As far as the compiler, which a login node has and this test has not."""
    wanted = ("kernels", "build", "--arch", "sm_90", "--cc", "/nowhere/nvcc")
    result = run(installed / "neox", *wanted, cwd=tmp_path)
    assert result.returncode == 4, result.stderr
    assert "/nowhere/nvcc: no such compiler on PATH" in result.stderr
    assert "no kernel library in" in run(installed / "neox", "kernels", "list", cwd=tmp_path).stdout
