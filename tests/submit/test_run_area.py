"""Where a run lies, and what it is called."""

from pathlib import Path

import pytest

from neox.submit.run_area import run_root
from tests.submit.plans import request


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("configs/20B.yml", "20B"),
        ("20B", "20B"),
        ("mamba/mamba-1.4B", "mamba-1.4B"),
        ("mamba/mamba-1.4B.yml", "mamba-1.4B"),
        ("mine/a.yaml", "a"),
        ("slurm_local.json", "slurm_local"),
    ],
)
def test_a_run_is_named_after_its_first_config(config: str, name: str, tmp_path: Path) -> None:
    assert run_root(request(tmp_path, configs=(Path(config),))) == tmp_path / "runs" / name
    assert run_root(request(tmp_path, name="other")) == tmp_path / "runs" / "other"
