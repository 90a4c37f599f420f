"""`neox kernels` as a person types it."""

import json
from pathlib import Path

import pytest

from neox.kernels import cli
from neox.kernels.gemm import Gemm, Tuned
from neox.kernels.gemm_table import add_to_table, table_path
from neox.kernels.sources import sources
from neox.ops.library import ABI
from tests.kernels.compilers import environ, fake_nvcc


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake_nvcc(tmp_path / "tools")
    for name, value in environ(tmp_path / "tools").items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_build_for_a_site_and_list(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "--site", "perlmutter"]) == 0
    store = tools / "tools" / ".cache" / "neox" / "kernels"
    (manifest,) = store.glob("*/manifest.json")
    assert json.loads(manifest.read_text())["architectures"] == ["sm_80"]
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{manifest.parent.name}  sm_80  Cuda compilation tools")
    assert line.endswith("  current")


def test_list_tells_what_was_tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_path(tmp_path, "NVIDIA H200", 130100)
    for n, algorithm in ((8, bytes(64)), (16, None), (24, bytes(64))):
        gemm = Gemm(kind="forward", m=8, n=n, k=8, dtype="bfloat16")
        tuned = Tuned(algorithm=algorithm, seconds=1.0, seconds_of_torch=2.0)
        add_to_table(table, {gemm: tuned})
    assert cli.main(["list", "--into", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "gemms-NVIDIA-H200-130100.json  2 of 3 products tuned are faster"


def test_the_store_of_a_site(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is built where the profile says is what its jobs find: they get the variable."""
    profile = tools / "here.toml"
    profile.write_text(
        'schema = 1\nextends = "slurm"\n[toolchain]\nkind = "cuda"\ncc = "nvcc"\n'
        f'arch = ["sm_90"]\n[caches]\nkernels = "{tools}/{{user}}/store"\n'
    )
    monkeypatch.setenv("LOGNAME", "ada")
    assert cli.main(["build", "--site", str(profile)]) == 0
    assert len(list((tools / "ada" / "store").glob("*/manifest.json"))) == 1
    monkeypatch.setenv("NEOX_KERNELS", f"{tools}/ada/store")
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    assert capsys.readouterr().out.endswith("  current\n")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["build"], "for which GPUs? say --arch sm_90 (or another), or --site SITE"),
        (["build", "--site", "local"], "local has no [toolchain]"),
        (["build", "--site", "nowhere"], "no site named 'nowhere'"),
        (["build", "--site", "summit"], "summit keeps its kernels in /gpfs/alpine2/{account}/"),
        (["build", "--arch", "sm_90", "--cc", "/no/nvcc"], "/no/nvcc: no such compiler on PATH"),
        (["test", "--into", "/nowhere"], "torch sees no GPU"),
    ],
)
def test_refusals_are_one_line(
    tools: Path, capsys: pytest.CaptureFixture[str], argv: list[str], complaint: str
) -> None:
    assert cli.main(argv) == 4
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_an_untested_architecture_is_named(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tools / "tools" / "pieces" / "70").write_bytes(b"")
    assert cli.main(["build", "--arch", "sm_70"]) == 4  # the stand-in has no code for it
    assert "sm_70: untested" in capsys.readouterr().out


def test_python_and_the_header_speak_the_same_interface() -> None:
    assert sources().abi == ABI
