"""What a run says, at its start, of the kernels and the tuned products of its store."""

from pathlib import Path

import pytest
import torch

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.run_config import RunConfig
from neox.kernels.errors import KernelError
from neox.kernels.gemm import Gemm, Tuned
from neox.run import jobs
from neox.train.gemms import gemms_of

CONFIG = Path(__file__).parents[2] / "configs" / "pythia" / "160M.yml"
TUNED = Tuned(algorithm=None, seconds=1.0, seconds_of_torch=1.0)
FINDS = "; `neox tune` with this config finds faster ones"


def config(*overrides: str) -> RunConfig:
    return resolve(load([CONFIG], overrides), 1)


def said(monkeypatch: pytest.MonkeyPatch, config: RunConfig, table: dict[Gemm, Tuned]) -> list[str]:
    monkeypatch.setattr(jobs, "use_library", lambda root, device: root / "key" / "libneox.so")
    monkeypatch.setattr(jobs, "use_gemms", lambda root, device: table)
    return list(jobs._use_store(config, torch.device("cuda", 0)))


@pytest.mark.parametrize(("known", "more"), [(15, ""), (4, FINDS), (0, FINDS)])
def test_how_many_of_the_run_s_own_products_are_tuned(
    monkeypatch: pytest.MonkeyPatch, known: int, more: str
) -> None:
    one = config("fused_kernels_build_path=/store")
    table = dict.fromkeys(list(gemms_of(one))[:known], TUNED)
    table[Gemm(kind="dgrad", m=1, n=1, k=1, dtype="bfloat16")] = TUNED  # of some other model
    assert said(monkeypatch, one, table) == [
        "kernels: /store/key/libneox.so",
        f"GEMMs: {known} of 15 tuned on a GPU of this kind{more}",
    ]


def test_a_run_in_fp32_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, config("precision=fp32", "fp16.enabled=false"), {})
    assert len(lines) == 1


def test_what_is_not_there_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(root: Path, device: torch.device) -> Path:
        raise KernelError("nothing in /store")

    monkeypatch.setattr(jobs, "use_library", refuse)
    monkeypatch.setattr(jobs, "use_gemms", refuse)
    lines = list(jobs._use_store(config(), torch.device("cuda", 0)))
    assert lines[0] == "kernels: torch's own, which are slower: nothing in /store"
    assert lines[1] == "GEMMs: as torch chooses them: nothing in /store"
