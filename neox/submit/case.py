"""What stays the same while one request after another is tried."""

from neox.config.derive import resolve
from neox.config.given import Given
from neox.config.run_config import RunConfig
from neox.frozen import Frozen, frozen
from neox.sites.profile import Profile
from neox.submit.job_kind import JobKind
from neox.submit.problem import Problem
from neox.submit.request import Request


@frozen
class Case(Frozen):
    """A job kind and a config on a site."""

    site: Profile
    job: JobKind
    given: Given
    base: RunConfig  # resolved without a number of ranks


def base_config(job: JobKind, given: Given, request: Request) -> RunConfig:
    """The config without a number of ranks. Raises ConfigErrors for what is wrong on any machine.

    A job that trains nothing may come without a config.
    """
    if not request.configs and job.ranks != "per-gpu":
        return RunConfig()
    return resolve(given, None)


def note(problems: list[Problem], problem: Problem | None) -> None:
    if problem is not None:
        problems.append(problem)
