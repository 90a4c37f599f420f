"""Requests and plans as a person at a login node would make them, for the tests of this room."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from neox.config.given import Given
from neox.config.load import load
from neox.content import shelf
from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.submit.job_kind import JobKind
from neox.submit.jobs import load_job
from neox.submit.plan import Plan
from neox.submit.planning import make_plan
from neox.submit.problem import PlanError
from neox.submit.request import Request

ROOT = Path(__file__).parents[2]
ACCOUNTS = {"frontier": "abc123", "summit": "abc123", "lumi": "project_465000001"}


def site(name: str) -> Profile:
    return load_site(name, shelf("sites", environ={}, cwd=Path("/nowhere")))


def job(name: str = "train") -> JobKind:
    return load_job(name, shelf("jobs", environ={}, cwd=Path("/nowhere")))


def ask(
    where: str, config: str = "20B", overrides: Sequence[str] = (), kind: str = "train"
) -> Request:
    return Request(
        site=where,
        job=kind,
        configs=(ROOT / "configs" / f"{config}.yml",),
        overrides=tuple(overrides),
        account=ACCOUNTS.get(where),
        user="me",
        cwd=Path("/lustre/here"),
        home=Path("/home/me"),
        submit_python="/opt/neox/bin/python",
        machine_cores=8,
        argv=(),
    )


def given(request: Request) -> Given:
    return load(request.configs, request.overrides)


def plan(request: Request, profile: Profile | None = None, **changes: object) -> Plan:
    request = replace(request, **changes)  # type: ignore[arg-type]
    profile = profile or site(request.site)
    return make_plan(profile, job(request.job), given(request), request)


def refused(request: Request, profile: Profile | None = None, **changes: object) -> str:
    with pytest.raises(PlanError) as error:
        plan(request, profile, **changes)
    return str(error.value)


def argv(made: Plan) -> list[str]:
    """The launch line with variables as `$name`."""
    parts = ("".join(getattr(p, "text", None) or f"${p.name}" for p in w) for w in made.launch.argv)
    return list(parts)
