"""From a request to a plan and its scripts: the one path that all commands share."""

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import neox
from neox.content import shelf
from neox.run.paths import RunPaths
from neox.submit.edge import Surroundings
from neox.submit.files import SCRIPT, File
from neox.submit.hostfile import read_hostfile
from neox.submit.manifest import Manifest, digest, read_manifest, summary
from neox.submit.refusal import RunDirectoryError, UsageError
from neox.submit.request import Request

if TYPE_CHECKING:
    from neox.config.given import Given
    from neox.sites.profile import Profile
    from neox.submit.job_kind import JobKind
    from neox.submit.plan import Plan
    from neox.submit.render import Script

REVIEWED = ("job.sh", "rank.sh", "run.yml")


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
        return _planned(self.site, self.job, self.given, request, self.configs)


def prepare(request: Request, around: Surroundings) -> Prepared:
    """Load site, job kind and configs, and plan. Raises what they raise: errors for a person."""
    from neox.config.load import load  # noqa: PLC0415  (YAML is not needed for --help)
    from neox.sites.load import load_site  # noqa: PLC0415
    from neox.submit.jobs import load_job  # noqa: PLC0415

    site = load_site(request.site, shelf("sites", environ=around.environ, cwd=around.cwd))
    job = load_job(request.job, shelf("jobs", environ=around.environ, cwd=around.cwd))
    given = load(request.configs, request.overrides, job.config, f"jobs/{job.name}.toml")
    request = dataclasses.replace(request, hosts=_hosts(site, given, around))
    return _planned(site, job, given, request, given.texts)


def prepare_again(run: RunPaths) -> Prepared:
    """What a run or link directory was made from, planned again from its own files alone."""
    from neox.config.load import load  # noqa: PLC0415

    manifest = read_manifest(run)
    given = load((run.run_config,))
    return _planned(manifest.site, manifest.job, given, manifest.request, manifest.configs)


def files_of(prepared: Prepared, link: int, script: "Script | None" = None) -> dict[str, File]:
    """The files of the run directory, or of `links/LINK`: scripts, config, manifest, hostfiles."""
    from neox.config.write import dump  # noqa: PLC0415
    from neox.submit.render import render  # noqa: PLC0415

    plan = prepared.plan
    script = script or render(plan, link=link)
    files = {
        "job.sh": File(script.job, SCRIPT),
        "rank.sh": File(script.rank, SCRIPT),
        "run.yml": File(dump(plan.config)),
    }
    files |= {file.name: File(file.content) for file in plan.launch.files}
    return {**files, "plan.json": File(manifest_of(prepared, link, files).text())}


def manifest_of(prepared: Prepared, link: int, files: Mapping[str, File]) -> Manifest:
    return Manifest(
        neox=neox.__version__,
        python=sys.version.split(maxsplit=1)[0],
        link=link,
        request=prepared.plan.request,
        site=prepared.site,
        job=prepared.job,
        configs=prepared.configs,
        sha256={name: digest(file.text) for name, file in files.items()},
        summary=summary(prepared.plan),
    )


def _planned(
    site: "Profile",
    job: "JobKind",
    given: "Given",
    request: Request,
    configs: Mapping[str, str],
) -> Prepared:
    from neox.submit.planning import make_plan  # noqa: PLC0415

    plan = make_plan(site, job, given, request)
    if not plan.run.root.is_absolute():
        raise RunDirectoryError(f"{plan.run.root}: the run directory must be an absolute path")
    return Prepared(site=site, job=job, given=given, plan=plan, configs=configs)


def _hosts(site: "Profile", given: "Given", around: Surroundings) -> tuple[str, ...]:
    """The nodes of a site without a scheduler: from the config, the profile or the environment."""
    if site.launcher.kind != "openmpi" or site.scheduler.kind != "local":
        return ()
    named = given.values.get("hostfile")
    path = named or site.launcher.hostfile or around.default_hostfile
    if path is None:
        if site.launcher.hosts:
            return site.launcher.hosts
        raise UsageError(
            f"{site.name}: which hosts? give hostfile=FILE (lines NAME slots=RANKS), set "
            "DLTS_HOSTFILE, or write launcher.hosts in a profile of your own"
        )
    return read_hostfile(around.cwd / Path(str(path)).expanduser())
