"""Profiles that are right: types, inheritance, origins."""

from pathlib import Path

import pytest

from neox.content import NotOnShelf
from neox.sites.load import load_site
from neox.sites.problems import ProfileErrors
from neox.sites.profile import Bin, Caps
from tests.sites.shelf_of import SMALL, load_text, own_shelf


def test_the_least_profile(tmp_path: Path) -> None:
    site = load_text(tmp_path, SMALL)
    assert site.name == "mine"
    assert site.queues[0].default  # the only one is
    assert site.queues[0].default_seconds == 3600
    assert site.queues[0].bins == (Bin(low=1, high=4, seconds=7200),)
    assert site.node_types[0].numa == ("0-7",)
    assert site.origin("queues.batch.bins") == "./sites/mine.toml:18"
    assert site.origin("queues.batch.per_user") == "./sites/mine.toml:16"  # the table's own


def test_a_librarys_own_list_may_hold_semicolons(tmp_path: Path) -> None:
    """oneCCL parts its ranges of message sizes by them; the script quotes the value."""
    value = "direct:0-1048576;rabenseifner:1048577-max"
    assert load_text(tmp_path, SMALL + f'[env]\nX = "{value}"\n').env["X"] == value


def test_every_kind_of_value(tmp_path: Path) -> None:
    site = load_text(
        tmp_path,
        """
        schema  = 1
        extends = "slurm"
        title   = "all"
        status  = "draft"
        [[queues]]
        name = "q"
        default_time = "90m"
        per_user = { queued = 3 }
        bins = [{ nodes = "1-2", time = "1-12:00:00" }]
        [node]
        cores = 4
        memory_gb = 16
        [env]
        OMP_NUM_THREADS = "{cores_per_rank}"
        [[env.when]]
        nodes = "2-"
        set = { NCCL_NET = "OFI" }
        [modules]
        prepend = { PATH = ["$TOOLS", "/opt/bin"] }
        [storage]
        run = { path = "/scratch/{user}", quota_gb = 1_000 }
        """,
    )
    assert site.env == {"OMP_NUM_THREADS": "{cores_per_rank}"}
    assert site.env_when[0].set == {"NCCL_NET": "OFI"}
    assert site.queues[0].default_seconds == 5400
    assert site.queues[0].bins[0].seconds == 129600
    assert site.queues[0].per_user == Caps(queued=3)
    assert site.node_types[0].memory_gb == 16.0
    assert isinstance(site.node_types[0].memory_gb, float)
    assert site.storage["run"].quota_gb == 1000
    assert site.modules.prepend["PATH"] == ("$TOOLS", "/opt/bin")
    assert site.launcher.kind == "srun"  # from slurm


def test_tables_merge_and_lists_replace(tmp_path: Path) -> None:
    parent = SMALL + '[env]\nA = "1"\nB = "2"\n[modules]\nload = ["x", "y"]\n'
    child = (
        'schema=1\nextends="old"\ntitle="new"\n[env]\nB = "3"\nC = "4"\n[modules]\nload = ["z"]\n'
    )
    shelf = own_shelf(tmp_path, old=parent, mine=child)
    site = load_site("mine", shelf)
    assert site.title == "new"
    assert site.env == {"A": "1", "B": "3", "C": "4"}
    assert site.modules.load == ("z",)
    assert site.files == (shelf.show(tmp_path / "sites/mine.toml"), site.files[1])
    assert site.origin("env.A").endswith("old.toml:23")
    assert site.origin("env.B").endswith("mine.toml:5")


def test_remove_deletes_what_a_parent_says(tmp_path: Path) -> None:
    more = '[env]\nA = "1"\nB = "2"\n[[env.when]]\nnodes = "1"\n[[env.when]]\nnodes = "2-"\n'
    queue = '[[queues]]\nname = "debug"\n'
    parent = SMALL.replace('name = "batch"', 'name = "batch"\ndefault = true') + queue + more
    child = 'schema=1\nextends="old"\nremove=["env.A", "queues.debug", "env.when[0]"]\n'
    site = load_site("mine", own_shelf(tmp_path, old=parent, mine=child))
    assert site.env == {"B": "2"}
    assert [queue.name for queue in site.queues] == ["batch"]
    assert [when.nodes for when in site.env_when] == ["2-"]


def test_a_profile_may_amend_the_one_it_shadows(tmp_path: Path) -> None:
    text = 'schema=1\nextends="frontier"\n[python]\nkind="venv"\npath="/my/python"\n'
    site = load_site("frontier", own_shelf(tmp_path, frontier=text))
    assert site.python.path == "/my/python"
    assert site.launcher.binding == "closest"
    assert len(site.files) == 3  # mine, the shipped one, slurm


def test_a_path_is_a_name_too(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(SMALL, encoding="utf-8")
    assert load_site("odd.toml", own_shelf(tmp_path)).title == "small"


def test_an_unknown_site_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotOnShelf, match=r"no site named 'fronteir'.*frontier.*local.*lumi"):
        load_site("fronteir", own_shelf(tmp_path))


def test_a_circle_is_named(tmp_path: Path) -> None:
    shelf = own_shelf(tmp_path, a='schema=1\nextends="b"\n', b='schema=1\nextends="a"\n')
    with pytest.raises(ProfileErrors, match=r"b.toml:2: .* circle: a -> b -> a"):
        load_site("a", shelf)


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileErrors, match=r"mine.toml:2: `extends`: no site named 'slrm'"):
        load_text(tmp_path, 'schema=1\nextends="slrm"\n')


def test_extending_itself_needs_somebody_behind(tmp_path: Path) -> None:
    with pytest.raises(ProfileErrors, match="'mine' extends itself"):
        load_text(tmp_path, 'schema=1\nextends="mine"\n')
