"""Configs by the names they have on NeoX's own shelf, from any folder."""

from pathlib import Path

import pytest

from neox.config.load import load
from neox.config.places import ConfigErrors


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["configs/20B.yml", "configs/20B", "20B", "pythia/1B", "./configs/20B.yml"]
)
def test_a_shipped_config_is_found_from_any_folder(name: str) -> None:
    assert load([Path(name)]).values["num_layers"] in (44, 16)


def test_a_file_in_the_folder_comes_first(elsewhere: Path) -> None:
    (elsewhere / "20B.yml").write_text("num_layers: 2\n")
    assert load([Path("20B")]).values["num_layers"] == 2


@pytest.mark.parametrize(
    ("typed", "meant"), [("20b.yml", "20B"), ("configs/pythia/1.4B", "pythia/1-4B")]
)
def test_a_misspelt_name_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigErrors, match=f"did you mean {meant}, which NeoX ships"):
        load([Path(typed)])


def test_a_script_of_gpt_neoxs_is_answered_with_the_job_kind() -> None:
    with pytest.raises(ConfigErrors, match="a job kind, not a script: --job train, evaluate or"):
        load([Path("train.py"), Path("20B")])


def test_a_path_far_from_every_name_is_only_not_there() -> None:
    with pytest.raises(ConfigErrors, match=r"no such file$"):
        load([Path("/somewhere/else/entirely.yml")])
