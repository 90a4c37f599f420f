"""Index maps built by a job of their own are the ones that a run finds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neox.config.derive import resolve
from neox.config.load import load
from neox.data import cli, run_order, sources
from tests.data.files import numbered, write_tokens
from tests.run.tiny_run import config
from tests.submit.askings import ask, plan


@pytest.fixture
def data(tmp_path):
    return write_tokens(tmp_path / "data", numbered([50] * 40))


@pytest.fixture
def own(tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "run.yml"


def no_building(*args, **kwargs):
    raise AssertionError("a map was built, not found")


def test_a_run_finds_what_the_job_built(data, own, monkeypatch, capsys):
    own.write_text(config(data))
    assert cli.main(["job", str(own), "--corpus", "python-stdlib", "--output-prefix", "x"]) == 0
    told = capsys.readouterr().out
    assert "train: 32 samples of 32 tokens out of 1 token file" in told
    assert "valid: 24 samples" in told and "test" not in told
    monkeypatch.setattr(sources, "build_order", no_building)
    settings = resolve(load([own]), 4)  # as a rank of four resolves it
    assert len(run_order.training_order(settings)) == 32
    assert len(run_order.validation_order(settings)) == 24
    monkeypatch.undo()
    monkeypatch.setattr(sources, "build_order", no_building)
    other = resolve(load([own], ("seed=77",)), 4)
    with pytest.raises(AssertionError, match="not found"):
        run_order.training_order(other)


def test_only_rank_0_builds(data, own, monkeypatch):
    own.write_text(config(data))
    for name, value in {"RANK": 1, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(sources, "build_order", no_building)
    assert cli.main(["job", str(own), "--corpus", "python-stdlib", "--output-prefix", "x"]) == 0


def test_a_batch_that_depends_on_the_ranks_is_asked_for(data, own, capsys):
    values = json.loads(config(data)) | {"gradient_accumulation_steps": 2}
    del values["train_batch_size"]
    own.write_text(json.dumps(values))
    assert cli.main(["maps", str(own)]) == 3
    assert "train_batch_size: not known" in capsys.readouterr().err
    assert cli.main(["maps", str(own), "--ranks", "6"]) == 0
    assert "train: 96 samples" in capsys.readouterr().out


def test_what_cannot_be_built_is_one_message(own, tmp_path, capsys):
    for text, message in (
        ("{}", "neither data_path nor train_data_paths"),
        (config(tmp_path / "none"), "no token file"),
        ('{"data_path": "x"}', "num_layers: not set"),
    ):
        own.write_text(text)
        assert cli.main(["maps", str(own)]) == 3
        told = capsys.readouterr().err
        assert message in told and "Traceback" not in told


def test_the_job_is_one_rank_a_node_with_all_its_cores():
    request = replace(ask("slurm", kind="prepare-data"), configs=(), nodes=3)
    made = plan(request)
    assert made.ranks == 3 and made.ranks_per_node == 1
    assert len(made.layout[0].cores) == made.site.node_types[0].cores
    assert made.entry.argv[:3] == ("data", "job", "{run_yml}")
    assert Path(made.entry.argv[-1]).name == "python-stdlib"
