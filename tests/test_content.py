"""Shelves: which file counts, what it shadows, and that a login node can look."""

import subprocess
import sys
from pathlib import Path

import pytest

from neox import content
from neox.content import SHELVES, NotOnShelf, shelf, shipped


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.toml").write_text("", encoding="utf-8")
    return folder


def test_the_most_personal_comes_first(tmp_path: Path) -> None:
    here = put(tmp_path / "work/sites", "lumi", "a")
    home = put(tmp_path / "home/.config/neox/sites", "lumi", "a", "b")
    centre = put(tmp_path / "centre", "a", "c")
    environ = {"HOME": str(tmp_path / "home"), "NEOX_SITES": f"{centre}:{tmp_path / 'nowhere'}"}
    sites = shelf("sites", environ=environ, cwd=tmp_path / "work")
    assert sites.folders == (here, home, centre, shipped("sites"))
    assert sites.paths("a") == (here / "a.toml", home / "a.toml", centre / "a.toml")
    assert sites.find("lumi") == here / "lumi.toml"
    shadows = {entry.name: entry.shadows for entry in sites.entries()}
    assert shadows["lumi"] == (home / "lumi.toml", shipped("sites") / "lumi.toml")
    assert shadows["b"] == ()
    assert shadows["frontier"] == ()


def test_names_in_messages_are_short(tmp_path: Path) -> None:
    here = put(tmp_path / "sites", "a")
    sites = shelf("sites", environ={}, cwd=tmp_path)
    assert sites.show(here / "a.toml") == "./sites/a.toml"
    assert sites.show(sites.find("frontier")) == "sites/frontier.toml"
    assert sites.show(Path("/elsewhere/x.toml")) == "/elsewhere/x.toml"


def test_a_checkout_is_not_its_own_shadow() -> None:
    root = shipped("sites").parent
    sites = shelf("sites", environ={"NEOX_SITES": "sites"}, cwd=root)
    assert sites.folders == (shipped("sites"),)


def test_only_sites_and_jobs_are_personal(tmp_path: Path) -> None:
    put(tmp_path / "templates", "x")
    templates = shelf("templates", environ={"NEOX_TEMPLATES": "/x"}, cwd=tmp_path)
    assert templates.folders == (shipped("templates"),)


@pytest.mark.parametrize("name", ["", "../lumi", "/etc/passwd", "nothing", "no.toml"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotOnShelf, match="no site named"):
        shelf("sites", environ={}, cwd=tmp_path).find(name)


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = put(tmp_path / "neox/content/sites", "x")
    monkeypatch.setattr(content, "__file__", str(tmp_path / "neox/content.py"))
    assert shipped("sites") == installed
    assert shipped("kernels") == tmp_path / "kernels"


def test_all_shelves_have_a_place() -> None:
    assert set(SHELVES) == {"sites", "jobs", "configs", "templates", "kernels"}


def test_loading_a_site_imports_nothing_heavy() -> None:
    program = (
        "import sys; from neox.content import shelf_here; from neox.sites.load import load_site;"
        "load_site('frontier', shelf_here('sites'));"
        "print(*sorted({'torch','numpy','yaml','jinja2','subprocess','socket'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
