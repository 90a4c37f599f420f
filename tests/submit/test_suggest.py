"""Suggested geometries divide, fit, are accepted by the plan, and come best first."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from neox.config.spec import model_spec
from neox.submit import cli
from neox.submit.memory import fits, stages
from neox.submit.suggest import Machine, overrides, suggestions
from tests.submit.askings import ask, plan, site

ROOT = Path(__file__).parents[2]
BILLION = str(ROOT / "configs" / "pythia" / "1B.yml")


def machine(where: str, nodes: int) -> Machine:
    profile = site(where)
    node = profile.node_types[0]
    return Machine(site=profile, node=node, nodes=nodes, ranks_per_node=node.gpus)


def test_each_divides_fits_and_keeps_the_batch() -> None:
    made = plan(ask("frontier"), nodes=12)
    spec = model_spec(made.config)
    found = suggestions(made.config, spec, machine("frontier", 12))
    assert found
    for one in found:
        assert one.cut.world == 96
        assert one.cut.global_batch == 1536
        assert spec.num_layers % one.cut.pipeline == 0
        assert spec.num_attention_heads % one.cut.tensor == 0
        assert fits(stages(made.config, spec, one.cut), 64)
    assert [one.order for one in found] == sorted(one.order for one in found)


def test_every_suggestion_is_accepted_as_it_stands() -> None:
    made = plan(ask("lumi", "pythia/1B"), nodes=4)
    found = suggestions(made.config, model_spec(made.config), machine("lumi", 4))
    for one in found[:6]:
        request = replace(ask("lumi", "pythia/1B"), overrides=overrides(made.config, one.cut))
        accepted = plan(request, nodes=4)
        assert accepted.geometry == one.cut
        assert not [w for w in accepted.warnings if w.startswith("memory:")]


def test_more_memory_than_a_gpu_has_is_left_out() -> None:
    made = plan(ask("frontier"), nodes=12)
    found = suggestions(made.config, model_spec(made.config), machine("frontier", 12))
    lone = [one for one in found if one.cut.pipeline * one.cut.tensor == 1]
    assert not lone  # 20 billion weights and whole gradients beside them need more than 64 GB


def test_the_bubble_is_that_of_one_forward_one_backward() -> None:
    made = plan(ask("lumi", "pythia/1B"), nodes=4)
    for one in suggestions(made.config, model_spec(made.config), machine("lumi", 4)):
        stages_, batches = one.cut.pipeline, one.cut.accumulation
        assert one.bubble == pytest.approx((stages_ - 1) / (batches + stages_ - 1))


def test_the_page_is_80_columns_and_names_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["suggest", "--site", "lumi", "--account", "project_465000001", "--nodes", "4"]
    assert cli.main([*words, BILLION]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert "train_micro_batch_size_per_gpu=" in page
    rows = [line for line in page.splitlines() if re.fullmatch(r" +\d+ +\d+ +\d+ .*", line)]
    assert rows
    for row in rows:  # a star where, and only where, stages or tensor ranks are asked for
        pipeline, tensor = row.split()[:2]
        assert row.endswith("*") == ((pipeline, tensor) != ("1", "1"))


def test_what_cannot_be_suggested_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suggest", "--site", "local", BILLION]) == 2
    assert "no GPUs" in capsys.readouterr().err
    assert cli.main(["suggest", "--site", "frontier"]) == 2
    assert "suggest for which config?" in capsys.readouterr().err
