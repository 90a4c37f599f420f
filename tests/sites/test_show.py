from pathlib import Path

import pytest

from neox.content import shelf
from neox.sites import show
from neox.sites.load import load_site
from tests.sites.shelf_of import SMALL, own_shelf, shipped_shelf


def test_the_list_shows_status_and_shadows(tmp_path: Path) -> None:
    text = "\n".join(show.list_sites(own_shelf(tmp_path, lumi=SMALL, broken="schema = 1\n")))
    assert f"\n{'summit':<19}  retired     OLCF Summit\n" in text
    assert f"\n{'':<21}./sites/lumi.toml\n{'':<21}shadows sites/lumi.toml\n" in text
    assert f"\n{'broken':<19}  broken      7 problems: sites check broken\n" in text


def test_eighty_columns() -> None:
    sites = shipped_shelf()
    for known in sites.entries():
        assert all(len(line) <= 80 for line in show.show_site(load_site(known.name, sites)))
    assert all(len(line) <= 80 for line in show.list_sites(sites))


def test_a_site_read_aloud() -> None:
    text = "\n".join(show.show_site(load_site("frontier", shipped_shelf())))
    assert "  1-91 nodes: at most 2:00:00" in text
    assert "64 less 8 cores, 512 GB, 8 x MI250X GCD (64 GB)" in text
    assert "Which hsn belongs to which GPU?" in text
    retired = "\n".join(show.show_site(load_site("summit", shipped_shelf())))
    assert "since 2024-11-15" in retired


def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = shelf("sites", environ={}, cwd=folder)
    monkeypatch.setattr(show, "shelf_here", lambda name: here)


def test_main(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_shelf(tmp_path, wrong=SMALL.replace('"srun"', '"x"'), bare=SMALL)
    at(tmp_path, monkeypatch)
    assert show.main(["list"]) == 0
    assert show.main(["show", "lumi"]) == 0
    assert show.main(["check", "frontier", "summit"]) == 0
    capsys.readouterr()
    assert show.main(["show", "lum"]) == 2
    assert "bare, clariden" in capsys.readouterr().err
    assert show.main(["check", "wrong"]) == 2
    assert "wrong.toml:9: launcher.kind" in capsys.readouterr().err
    assert show.main(["check", "bare"]) == 2
    assert "no evidence  node.cores  (./sites/bare.toml:14)" in capsys.readouterr().out
