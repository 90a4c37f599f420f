"""Every text of a profile and of a request, hostile, for every scheduler and every launcher.

The fields are found by walking the dataclasses, and the kinds in the profile's own enums, so a new
one is tested as it comes. What a script makes of a value is judged by Python's shlex: the script
with the hostile values has the same words as the one with harmless ones, but for the values.
"""

import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from neox.config.given import Given
from neox.config.load import load
from neox.sites.profile import NOT_IN_FILE, LauncherKind, Profile, SchedulerKind
from neox.submit.job_kind import JobKind
from neox.submit.plan import Plan
from neox.submit.planning import make_plan
from neox.submit.quoting import check_directive_line, check_text
from neox.submit.refusal import is_for_a_person
from neox.submit.render import Script, render
from neox.submit.request import Request
from neox.submit.texts import plan_texts
from tests.golden.cases import cases, profile_of, request_for
from tests.submit.askings import job

# without a space, because a module command is cut at spaces
NASTY = "-'\"$(touch${IFS}x)`x`;&|>y\\n\\größe模*%j#{}!~"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
# what is parsed, compared or looked up, and never printed as it stands
STRUCTURE = re.compile(
    r"profile\.(identify|account|network\.(access|interface)|policy|facts|toolchain|name$|title$)"
    r"|profile\.node_types\[\d\]\.(name|numa|gpu\.(cores|arch|nics|peak)|nics)"
    r"|profile\.queues\[\d\]\.(name|node_type|account|bins)"
    r"|profile\.env_when\[\d\]\.nodes|profile\.storage|profile\.cost|profile\.python\.kind"
    r"|profile\.(scheduler|launcher)\.kind|profile\.launcher\.(hostfile|hosts|master_suffix)"
    r"|profile\.profilers"
    r"|request\.(site|job|queue|account|output|hosts|configs|user$)"
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    profile: Profile
    request: Request


Put = Callable[[Asked, str], Asked]


# --- the fields ----------------------------------------------------------------------------------


def fields_of(asked: Asked) -> dict[str, Put]:
    """Each text that may be anything, and how another one is put in its place."""
    return {path: put for path, put in _texts(asked, "") if not STRUCTURE.match(path)}


def _texts(value: object, path: str) -> Iterator[tuple[str, Callable[..., object]]]:
    if isinstance(value, str):
        yield path, lambda _, text: text
    elif isinstance(value, Path):
        yield path, lambda old, text: old / text
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for inner, put in _texts(item, f"{path}[{index}]"):
                yield inner, _in_tuple(index, put)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            for inner, put in _texts(item, f"{path}.{key}"):
                yield inner, _in_mapping(key, put)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in _free(type(value)):
            for inner, put in _texts(getattr(value, name), f"{path}.{name}".lstrip(".")):
                yield inner, _in_field(name, put)


@cache
def _free(kind: type) -> tuple[str, ...]:
    """Fields of a file or a request that are no choice out of a few."""
    hints = get_type_hints(kind)
    free = (f.name for f in dataclasses.fields(kind) if f.metadata != NOT_IN_FILE)
    return tuple(name for name in free if not _is_choice(hints[name]))


def _is_choice(hint: object) -> bool:
    return get_origin(hint) is Literal or any(map(_is_choice, get_args(hint)))


def _in_tuple(index: int, put: Callable[..., object]) -> Callable[..., object]:
    return lambda old, text: (*old[:index], put(old[index], text), *old[index + 1 :])


def _in_mapping(key: str, put: Callable[..., object]) -> Callable[..., object]:
    return lambda old, text: {**old, key: put(old[key], text)}


def _in_field(name: str, put: Callable[..., object]) -> Callable[..., object]:
    return lambda old, text: dataclasses.replace(old, **{name: put(getattr(old, name), text)})


# --- the kinds -----------------------------------------------------------------------------------


@cache
def backends() -> dict[tuple[str, str], tuple[str, str]]:
    """(scheduler, launcher) -> site and kind of the first kept script that has both."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for case in cases():
        profile = profile_of(case.site, case.kind)
        pair = (profile.scheduler.kind, profile.launcher.kind)
        found.setdefault(pair, (case.site, case.kind))
    # hydra under other names
    for kind in ("intelmpi", "mvapich"):
        found.setdefault((found_scheduler(found, "mpich"), kind), ("mpich", "train"))
    return found


def found_scheduler(found: Mapping[tuple[str, str], object], launcher: str) -> str:
    return next(scheduler for scheduler, name in found if name == launcher)


PAIRS = sorted(backends())


def test_every_kind_is_here() -> None:
    assert {pair[0] for pair in PAIRS} == set(get_args(SchedulerKind))
    assert {pair[1] for pair in PAIRS} == set(get_args(LauncherKind))


def asked_of(pair: tuple[str, str]) -> Asked:
    site, kind = backends()[pair]
    profile = profile_of(site, kind)
    launcher = dataclasses.replace(profile.launcher, kind=pair[1])  # type: ignore[arg-type]
    request = request_for(site, 1, kind)
    directives = () if profile.scheduler.kind == "local" else ("comment=plain",)
    extra = () if pair[1] == "spawn" else ("--plain",)
    return Asked(
        profile=dataclasses.replace(profile, launcher=launcher),
        request=dataclasses.replace(
            request,
            name="plain",
            python="/opt/plain",
            directives=directives,
            launch_args=extra,
            overrides=("a=plain",),
        ),
    )


# --- what comes of it ----------------------------------------------------------------------------


@cache
def config() -> tuple[JobKind, Given]:
    request = request_for("slurm", 1)
    return job(), load(request.configs, request.overrides, job().config)


def planned(asked: Asked) -> Plan:
    """The plan, its texts held against the rules of scripts without printing one."""
    plan = make_plan(asked.profile, *config(), asked.request)
    for field, text in plan_texts(plan):
        check_text(field, text)
    for line in plan.directives:
        check_directive_line("directive", line.text)
    return plan


def refused(asked: Asked) -> str | None:
    """What is said of it, on one line and without control characters; None where it is taken."""
    try:
        planned(asked)
    except Exception as error:
        assert is_for_a_person(error), error
        assert not CONTROL.search(str(error)), error
        return str(error)
    return None


def words(script: str) -> list[str]:
    return shlex.split(script.replace(" \\\n", " "), comments=True)  # long commands are wrapped


def texts(made: Script) -> list[str]:
    return [text for text in (made.job, made.rank, made.node) if text is not None]


def put_all(asked: Asked, fields: Mapping[str, Put], value: str) -> Asked:
    """A value of its own in each field."""
    for index, put in enumerate(fields.values()):
        asked = put(asked, f"{value}{index}z")
    return asked


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_no_field_of_a_profile_or_a_request_is_read_as_shell(pair: tuple[str, str]) -> None:
    asked = asked_of(pair)
    fields = fields_of(asked)
    harmless = texts(render(planned(put_all(asked, fields, "plain")), link=1))
    marks = {path: f"plain{index}z" for index, path in enumerate(fields)}
    reaching = {
        path: put for path, put in fields.items() if any(marks[path] in text for text in harmless)
    }
    assert {"request.name", "request.cwd", "request.python"} <= set(reaching)
    for path, put in reaching.items():
        assert refused(put(asked, "first\ntouch x")), path
    taken = {path: put for path, put in reaching.items() if refused(put(asked, NASTY)) is None}
    assert len(taken) >= 3, "a person's own folders and Python are anything"
    nasty = texts(render(planned(put_all(asked, taken, NASTY)), link=1))
    plain = texts(render(planned(put_all(asked, taken, "plain")), link=1))
    for one, other in zip(nasty, plain, strict=True):
        assert [word.replace(NASTY, "plain") for word in words(one)] == words(other)
