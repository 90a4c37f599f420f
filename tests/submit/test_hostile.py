"""Twelve hostile values through every field: they arrive byte for byte, or are refused by name."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neox.run.paths import RunPaths
from neox.submit.plan import Directive, LaunchFile, Origin, Plan, Variable
from neox.submit.quoting import QuotingError, check_directive_text
from neox.submit.render import render
from neox.submit.words import Literal, ShellVar, Word, literal
from tests.submit import plans
from tests.submit.hostile import HOSTILE
from tests.submit.stand_ins import Machine

Change = Callable[[Plan, str], Plan]
CANARY = "canary-3f1c9e"


def asked(plan: Plan, **changes: object) -> Plan:
    return dataclasses.replace(
        plan,
        request=dataclasses.replace(plan.request, **changes),  # type: ignore[arg-type]
    )


def launched(plan: Plan, value: str) -> Plan:
    argv: tuple[Word, ...] = (*plan.launch.argv, literal(value), (ShellVar("run"), Literal(value)))
    return dataclasses.replace(plan, launch=dataclasses.replace(plan.launch, argv=argv))


def exported(plan: Plan, value: str) -> Plan:
    origin = Origin(text="test")
    variable = Variable(name="HOSTILE", value=literal(value), origin=origin)
    at_rank = Variable(
        name="HOSTILE_AT_RANK", value=(Literal(value), ShellVar("LOCAL_RANK")), origin=origin
    )
    return dataclasses.replace(plan, variables=(variable,), rank_variables=(at_rank,))


def entered(plan: Plan, value: str) -> Plan:
    entry = dataclasses.replace(plan.entry, argv=("train", "{run_yml}", value))
    return dataclasses.replace(plan, entry=entry)


def directed(plan: Plan, value: str) -> Plan:
    """As the schedulers do: a person's text is checked, then becomes a line."""
    text = f"--comment={check_directive_text('--directive', value)}"
    return dataclasses.replace(
        plan, directives=(Directive(text=text, origin=Origin(text="--directive")),)
    )


FIELDS: dict[str, Change] = {
    "--name": lambda plan, value: asked(plan, name=value),
    "--account": lambda plan, value: asked(plan, account=value),
    "--queue": lambda plan, value: asked(plan, queue=value),
    "--python": lambda plan, value: asked(plan, python=value),
    "--output": lambda plan, value: asked(plan, output=Path(value)),
    "KEY=VALUE": lambda plan, value: asked(plan, overrides=(f"a={value}",)),
    "command line": lambda plan, value: asked(plan, argv=("neox-submit", value)),
    "host": lambda plan, value: dataclasses.replace(
        asked(plan, hosts=(value,)), master="host-list", hosts=(value,)
    ),
    "launch argument": launched,
    "variable": exported,
    "entry": entered,
    "--directive": directed,
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_value_that_cannot_be_printed_is_refused_by_its_fields_name(
    tmp_path: Path, field: str, name: str
) -> None:
    def printed() -> None:
        render(FIELDS[field](plans.plan(tmp_path), HOSTILE[name]), link=1)

    whitelisted = field == "--directive" and name not in (
        "leading dash",
        "percent",
        "long",
        "empty",
    )
    if name in ("newline", "nul") or whitelisted:
        with pytest.raises(QuotingError, match=f"^{field}"):
            printed()
    else:
        printed()


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"newline", "nul"}))
@pytest.mark.parametrize("site", ["slurm", "pbs", "flux"])
def test_nothing_executes_and_everything_arrives(
    machine: Machine, name: str, site: plans.SiteName
) -> None:
    """The value in every field at once, and the script under bash."""
    value = HOSTILE[name]
    plan = plans.plan(machine.run, site, python=machine.python)
    for field, change in FIELDS.items():
        if field != "--directive" and not (field == "host" and not value):
            plan = change(plan, value)
    machine.submit(plan)
    code, printed = machine.finish()
    assert code == 0, printed
    assert not list(machine.folder.rglob("x"))

    called = (machine.state / "launch").read_bytes().split(b"\0")[:-1]
    assert called[-3:-1] == [value.encode(), os.fsencode(machine.run) + value.encode()]
    environment = (machine.state / "env.1").read_bytes().split(b"\0")
    assert b"HOSTILE=" + value.encode() in environment
    assert b"HOSTILE_AT_RANK=" + value.encode() + b"1" in environment
    assert not value or b"MASTER_ADDR=" + value.encode() in environment
    assert (machine.state / "argv.1").read_bytes().split(b"\0")[-1] == value.encode()


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"newline", "nul", "empty", "long"}))
@pytest.mark.parametrize("site", ["slurm", "pbs", "local"])
def test_hostile_folders(machine: Machine, name: str, site: plans.SiteName) -> None:
    """The run directory, the working directory and Python's path in one."""
    folder = machine.folder / HOSTILE[name]
    for part in ("run/state", "run/logs"):
        (folder / part).mkdir(parents=True)
    python = folder / "python"
    python.symlink_to(machine.python)
    plan = plans.plan(folder / "run", site, python=str(python))
    plan = dataclasses.replace(plan, run=RunPaths(folder / "run"))
    machine.submit(asked(plan, cwd=folder))
    code, printed = machine.finish(root=folder / "run", FAKE_RUN=str(folder / "run"))
    assert code == 0, printed
    argv = (folder / "run/state/argv.0").read_text().split("\0")
    assert argv[-1] == f"{folder}/run/links/1/run.yml"
    assert len(list((folder / "run/logs").glob("*.[01].log"))) == 2
    assert (site == "pbs") == (folder / "run/logs/4711.out").exists()
    assert not list(machine.folder.rglob("x"))


@pytest.mark.parametrize("name", ["newline", "nul"])
def test_paths_that_no_script_can_hold(tmp_path: Path, name: str) -> None:
    for field, plan in {
        "run directory": plans.plan(tmp_path / HOSTILE[name]),
        "working directory": asked(plans.plan(tmp_path), cwd=Path(HOSTILE[name])),
        "python": plans.plan(tmp_path, python=HOSTILE[name]),
    }.items():
        with pytest.raises(QuotingError, match=f"^{field}"):
            render(plan, link=1)


def test_a_secret_of_the_environment_is_in_no_output(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    script = machine.submit(plans.plan(machine.run, "slurm", python=machine.python))
    code, printed = machine.finish(WANDB_API_KEY=CANARY, FAKE_END="code 1")
    assert code == 1
    assert CANARY not in script.job + script.rank + printed
    received = list(machine.state.glob("env.*"))  # the second rank may have been ended at once
    assert any(CANARY in path.read_text() for path in received)  # the ranks do get it
    for path in machine.run.rglob("*"):
        if path.is_file() and path not in received:
            assert CANARY not in path.read_text(), path


def test_launch_files_are_the_plans_own_business(tmp_path: Path) -> None:
    """They are written as they are and never pass a shell."""
    plan = plans.plan(tmp_path, "openmpi")
    files = (LaunchFile(name="hostfile", content="$(touch x)\n"),)
    changed = dataclasses.replace(plan, launch=dataclasses.replace(plan.launch, files=files))
    assert "touch" not in render(changed, link=1).job
