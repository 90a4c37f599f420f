from datetime import date
from pathlib import Path

from neox.sites.evidence import check_site, evidence, is_stale, questions
from neox.sites.load import load_site
from neox.sites.profile import Fact
from tests.sites.shelf_of import SMALL, load_text, own_shelf

TODAY = date(2026, 11, 24)
OFFICIAL = 'kind = "official", source = "a page", read = "2026-07-22"'
PARENT = (
    SMALL
    + f"""
[facts]
"node" = {{ kind = "unknown", question = "How many cores?" }}
"queues" = {{ {OFFICIAL} }}
"queues.batch.bins[0].time" = {{ kind = "user", source = "a script", read = "2025-05-24" }}
"""
)


def test_each_number_is_counted_once(tmp_path: Path) -> None:
    more = PARENT.replace("cores = 8", "cores = 8\nsmt = 2").replace(
        "[facts]", "[network]\ngb_per_second_per_node = 25\n[facts]"
    )
    found = evidence(load_site("mine", own_shelf(tmp_path, mine=more)), TODAY)
    assert found.own == ("queues.batch.bins[0].time",)
    assert found.inherited == ("queues.batch.bins[0].nodes",)
    assert found.unknown == ("node.cores", "node.smt")
    assert found.without == ("network.gb_per_second_per_node",)
    assert found.questions == ("How many cores?",)
    assert found.own_percent == 20


def test_a_parents_fact_does_not_hold_for_what_a_child_states(tmp_path: Path) -> None:
    child = 'schema=1\nextends="old"\n[node]\ncores = 64\n[[queues]]\nname="x"\nbins=[]\n'
    site = load_site("mine", own_shelf(tmp_path, old=PARENT, mine=child))
    assert site.facts == {}  # neither the question nor the pages are about these values
    assert evidence(site, TODAY).without == ("node.cores",)


def test_a_parents_fact_holds_for_what_is_left_of_it(tmp_path: Path) -> None:
    child = f'schema=1\nextends="old"\n[node]\nsmt = 2\n[facts]\n"node.smt" = {{ {OFFICIAL} }}\n'
    found = evidence(load_site("mine", own_shelf(tmp_path, old=PARENT, mine=child)), TODAY)
    assert "node.smt" in found.own
    assert found.unknown == ("node.cores",)
    assert found.questions == ("How many cores?",)


def test_one_table_in_two_files_has_two_sorts_of_evidence(tmp_path: Path) -> None:
    parent = PARENT.replace("cores = 8", "cores = 8\nsmt = 2").replace(
        '"node" = { kind = "unknown", question = "How many cores?" }', f'"node" = {{ {OFFICIAL} }}'
    )
    child = 'schema=1\nextends="old"\n[node]\ncores = 64\n'
    found = evidence(load_site("mine", own_shelf(tmp_path, old=parent, mine=child)), TODAY)
    assert found.without == ("node.cores",)  # the parent's page is not about 64
    assert "node.smt" in found.inherited


def test_a_childs_fact_speaks_of_a_parents_value(tmp_path: Path) -> None:
    bare = SMALL + "[network]\ngb_per_second_per_node = 25\n"
    child = f'schema=1\nextends="old"\n[facts]\n"network" = {{ {OFFICIAL} }}\n'
    found = evidence(load_site("mine", own_shelf(tmp_path, old=bare, mine=child)), TODAY)
    assert "network.gb_per_second_per_node" in found.inherited


def test_a_childs_fact_replaces_the_parents_whole(tmp_path: Path) -> None:
    child = f'schema=1\nextends="old"\n[facts]\n"node" = {{ {OFFICIAL} }}\n'
    site = load_site("mine", own_shelf(tmp_path, old=PARENT, mine=child))
    assert site.facts["node"].question is None


def test_eighteen_months() -> None:
    read = {"2025-05-24": True, "2025-05-25": False, "2026-11-24": False, "2020-01-01": True}
    for day, stale in read.items():
        assert is_stale(Fact(kind="official", source="x", read=day), TODAY) is stale
    assert not is_stale(Fact(kind="unknown", question="?"), TODAY)


def test_the_report_names_lines(tmp_path: Path) -> None:
    lines = check_site(load_site("mine", own_shelf(tmp_path, mine=PARENT.lstrip("\n"))), TODAY)
    assert lines[0] == (
        "mine: 3 numbers: 1 with evidence of their own (33 %), 1 with that of their table,"
        " 1 unknown, 0 without"
    )
    assert lines[1].split() == [
        "stale",
        "queues.batch.bins[0].time",
        "read",
        "2025-05-24",
        "(./sites/mine.toml:26)",
    ]
    assert lines[2].split(maxsplit=1) == ["asks", "How many cores?"]


def test_a_question_about_several_values_is_asked_once(tmp_path: Path) -> None:
    unknown = '{ kind = "unknown", question = "Which?" }'
    facts = f'[facts]\n"node.cores" = {unknown}\n"queues.batch.bins" = {unknown}\n'
    assert questions(load_text(tmp_path, SMALL + facts)) == ("Which?",)
