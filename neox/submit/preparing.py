"""From a request to a plan: the one path that all commands share."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neox.content import shelf
from neox.secret_names import secret_keys
from neox.submit.edge import Surroundings
from neox.submit.hostfile import read_hostfile
from neox.submit.refusal import RunDirectoryError, UsageError
from neox.submit.request import Request

if TYPE_CHECKING:
    from neox.config.given import Given
    from neox.sites.profile import Profile
    from neox.submit.job_kind import JobKind
    from neox.submit.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with everything it was made from."""

    site: "Profile"
    job: "JobKind"
    given: "Given"
    plan: "Plan"
    configs: Mapping[str, str]  # the original config texts

    def again(self, **changes: object) -> "Prepared":
        """The same with another request."""
        request = dataclasses.replace(self.plan.request, **changes)  # type: ignore[arg-type]
        return planned(self.site, self.job, self.given, request, self.configs)


def prepare(request: Request, around: Surroundings) -> Prepared:
    """Load site, job kind and configs, and plan. Raises what they raise: errors for a person."""
    from neox.config.load import load  # noqa: PLC0415  (YAML is not needed for --help)
    from neox.config.vocabulary import with_vocabulary  # noqa: PLC0415
    from neox.sites.load import load_site  # noqa: PLC0415
    from neox.submit.jobs import load_job  # noqa: PLC0415

    site = load_site(request.site, shelf("sites", environ=around.environ, cwd=around.cwd))
    job = load_job(request.job, shelf("jobs", environ=around.environ, cwd=around.cwd))
    if not request.configs and (job.ranks == "per-gpu" or job.needs.checkpoint):
        raise UsageError(
            "which config? give one or more YAML files, configs/20B.yml for instance; "
            "see neox-submit --help"
        )
    given = load(request.configs, request.overrides, job.config, f"jobs/{job.name}.toml")
    _refuse_secrets(given)
    given = with_vocabulary(given)
    request = dataclasses.replace(request, hosts=_hosts(site, given, around))
    return planned(site, job, given, request, given.texts)


def _refuse_secrets(given: "Given") -> None:
    """A config is kept in every run directory and checkpoint."""
    found = next(secret_keys(given.values), None)
    if found is not None:
        raise UsageError(
            f"{found}: a secret has no place in a config, which run directories and checkpoints "
            "keep; leave it out, and export it as an environment variable"
        )


def planned(
    site: "Profile",
    job: "JobKind",
    given: "Given",
    request: Request,
    configs: Mapping[str, str],
) -> Prepared:
    """The plan of what was loaded. Raises PlanError, and RunDirectoryError for a relative run."""
    from neox.submit.planning import make_plan  # noqa: PLC0415

    plan = make_plan(site, job, given, request)
    if not plan.run.root.is_absolute():
        raise RunDirectoryError(f"{plan.run.root}: the run directory must be an absolute path")
    return Prepared(site=site, job=job, given=given, plan=plan, configs=configs)


def _hosts(site: "Profile", given: "Given", around: Surroundings) -> tuple[str, ...]:
    """The nodes of a site without a scheduler: from the config, the profile or the environment."""
    if site.launcher.kind == "spawn" or site.scheduler.kind != "local":
        return ()
    named = given.values.get("hostfile")
    path = named or site.launcher.hostfile or around.default_hostfile
    if path is None:
        if site.launcher.hosts:
            return site.launcher.hosts
        if site.launcher.kind == "torchrun":
            return ()  # this machine alone
        raise UsageError(
            f"{site.name}: which hosts? give hostfile=FILE (lines NAME slots=RANKS), set "
            "DLTS_HOSTFILE, or write launcher.hosts in a profile of your own"
        )
    return read_hostfile(around.cwd / Path(str(path)).expanduser())
