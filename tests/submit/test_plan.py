"""The plan as a whole: pure, the same twice, with everything a script needs."""

import builtins
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from neox.sites.profile import Container, EnvWhen, Fact
from neox.submit.planning import make_plan
from neox.submit.words import Literal, ShellVar
from tests.submit.askings import ask, given, job, plan, refused, site
from tests.submit.hostile import HOSTILE

FRONTIER = ask("frontier")


def forbidden(name: str) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise AssertionError(f"the plan called {name}")

    return fail


@pytest.mark.parametrize("where", ["frontier", "lumi"])
def test_a_plan_starts_nothing_and_asks_nobody(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(ask(where), nodes=12)
    profile, kind, config = site(where), job(), given(request)
    first = make_plan(profile, kind, config, request)  # imports are done
    for owner, name in (
        (subprocess, "Popen"),
        (os, "system"),
        (os, "fork"),
        (os, "posix_spawn"),
        (os, "getcwd"),
        (os, "urandom"),
        (socket, "socket"),
        (time, "time"),
        (time, "monotonic"),
        (random, "random"),
        (builtins, "open"),
    ):
        monkeypatch.setattr(owner, name, forbidden(name))
    again = make_plan(profile, kind, config, request)
    monkeypatch.undo()
    assert again == first
    assert repr(again) == repr(first)


def value(made: object, name: str) -> object:
    return next(v.value for v in made.variables if v.name == name)  # type: ignore[attr-defined]


def test_environment_for_one_node_and_for_more() -> None:
    small = ask("frontier", "pythia/14M")
    assert value(plan(small), "NCCL_NET") == (Literal("Socket"),)
    assert value(plan(small, nodes=2), "NCCL_NET") == (Literal("OFI"),)


def test_placeholders_become_numbers_words_and_rank_variables() -> None:
    frontier = site("frontier")
    env = {**frontier.env, "CACHE": "/tmp/{user}/{job_id}/{local_rank}", "AT": "{run}/x"}
    made = plan(FRONTIER, replace(frontier, env=env), nodes=12)
    assert value(made, "OMP_NUM_THREADS") == (Literal("7"),)
    assert value(made, "MIOPEN_USER_DB_PATH") == (Literal("/tmp/miopen-"), ShellVar("job_id"))
    assert value(made, "AT") == (ShellVar("run"), Literal("/x"))
    (cache,) = made.rank_variables
    parts = (Literal("/tmp/me/"), ShellVar("job_id"), Literal("/"), ShellVar("LOCAL_RANK"))
    assert cache.value == parts


def test_a_later_setting_wins_and_an_unset_one_is_gone() -> None:
    frontier = site("frontier")
    more = (
        EnvWhen(nodes="2-", set={"A": "1", "B": "1"}),
        EnvWhen(nodes="12", set={"A": "2"}, unset=("B", "C")),
        EnvWhen(nodes="13-", set={"A": "3"}),
    )
    made = plan(FRONTIER, replace(frontier, env_when=more), nodes=12)
    assert value(made, "A") == (Literal("2"),)
    assert made.unset == ("B", "C")
    assert len({v.name for v in made.variables}) == len(made.variables)


def test_threads_are_said_where_the_site_does_not() -> None:
    made = plan(ask("local", "pythia/14M", overrides=("num_gpus=2",)))
    assert value(made, "OMP_NUM_THREADS") == (Literal("4"),)  # 8 cores, 2 ranks


def test_pythons() -> None:
    assert plan(FRONTIER, nodes=12).python == "/ccs/proj/abc123/neox/.venv/bin/python"
    assert plan(FRONTIER, nodes=12, python="/my/python").python == "/my/python"
    assert plan(ask("local", "pythia/14M")).python == "/opt/neox/bin/python"
    frontier = site("frontier")
    without = replace(frontier, python=replace(frontier.python, path=None))
    assert "use --python /path/to/python" in refused(FRONTIER, without, nodes=12)


def test_lumi_runs_in_a_container_that_sees_the_run() -> None:
    made = plan(ask("lumi"), nodes=12)
    words = ["".join(p.text for p in w if isinstance(p, Literal)) for w in made.container]
    assert words[:2] == ["singularity", "exec"]
    binds = words[words.index("--bind") + 1].split(",")
    assert {"/scratch", "/project", "/lustre/here"} <= set(binds)
    assert words[-1] == "/project/project_465000001/neox/neox.sif"


def test_what_a_bind_covers_is_not_bound_twice() -> None:
    lumi = site("lumi")
    covered = Container(kind="singularity", image="x.sif", binds=("/lustre:/lustre",))
    made = plan(ask("lumi"), replace(lumi, container=covered), nodes=12)
    assert (Literal("/lustre:/lustre"),) in made.container


def test_unknown_facts_become_questions() -> None:
    frontier = site("frontier")
    facts = {"node.nics": Fact(kind="unknown", question="Which hsn?")}
    assert plan(FRONTIER, replace(frontier, facts=facts), nodes=12).questions == ("Which hsn?",)


def test_a_scheduler_that_is_not_spoken_is_named() -> None:
    frontier = site("frontier")
    strange = replace(frontier, scheduler=replace(frontier.scheduler, kind="oar"))
    assert "scheduler 'oar' is not spoken here; known: slurm, lsf, pbs, flux, local" in refused(
        FRONTIER, strange, nodes=12
    )


def test_a_config_that_is_wrong_everywhere_is_told_with_all_its_lines() -> None:
    text = refused(ask("frontier", overrides=("num_attention_heads=7", "min_lr=1")), nodes=12)
    assert "num_attention_heads" in text
    assert "min_lr" in text


def test_what_the_engine_lacks_is_told_not_refused() -> None:
    lacking = plan(FRONTIER, nodes=12).not_yet
    assert any("pipe_parallel_size" in line for line in lacking) or lacking == ()


def test_names_and_folders() -> None:
    assert plan(FRONTIER, nodes=12).run.root == Path("/lustre/here/runs/20B")
    made = plan(FRONTIER, nodes=12, name="try-1", output=Path("elsewhere"))
    assert made.run.root == Path("/lustre/here/elsewhere/try-1")


def test_step_and_checkpoint_estimates() -> None:
    made = plan(FRONTIER, nodes=12)
    assert made.step_seconds == pytest.approx(58, abs=1)
    assert made.checkpoint_bytes == pytest.approx(20.6e9 * 12, rel=0.01)
    assert plan(ask("slurm", "pythia/14M")).step_seconds is None  # no GPU, no estimate


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("field", ["name", "account", "queue"])
def test_hostile_text_is_refused_by_its_field(field: str, text: str) -> None:
    """What goes into directives is refused whole; nothing of it is quoted or repaired."""
    assert field in refused(FRONTIER, nodes=12, **{field: text})


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "long"])
def test_hostile_directives_are_refused(name: str) -> None:
    assert "directive" in refused(FRONTIER, nodes=12, directives=(HOSTILE[name],))


@pytest.mark.parametrize("name", ["newline", "nul"])
def test_control_characters_are_refused_everywhere(name: str) -> None:
    text = HOSTILE[name]
    assert "python" in refused(FRONTIER, nodes=12, python=text)
    assert "launch-arg" in refused(FRONTIER, nodes=12, launch_args=(text,))
    assert "output" in refused(FRONTIER, nodes=12, output=Path(text))
    assert "output" in refused(ask("local", "pythia/14M"), output=Path(text))


@pytest.mark.parametrize("name", ["quotes", "substitution", "backslash", "long", "unicode"])
def test_arguments_arrive_byte_for_byte(name: str) -> None:
    text = HOSTILE[name]
    made = plan(FRONTIER, nodes=12, python=text, launch_args=(text,))
    assert made.python == text
    assert made.launch.argv[-1] == (Literal(text),)
