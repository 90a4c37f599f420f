"""The files of a run directory, from a plan; and from those files alone to the plan again."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import neox
from neox.run.paths import RunPaths
from neox.submit.files import SCRIPT, File
from neox.submit.manifest import Manifest, digest, read_manifest, summary
from neox.submit.preparing import Prepared, planned

if TYPE_CHECKING:
    from neox.submit.render import Script

REVIEWED = ("job.sh", "rank.sh", "node.sh", "run.yml")  # node.sh only where a launcher needs it


def prepare_again(run: RunPaths) -> Prepared:
    """What a run or link directory was made from, planned again from its own files alone."""
    from neox.config.load import load  # noqa: PLC0415

    manifest = read_manifest(run)
    given = load((run.run_config,))
    return planned(manifest.site, manifest.job, given, manifest.request, manifest.configs)


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
    if script.node is not None:
        files["node.sh"] = File(script.node, SCRIPT)
    launched = (plan.launch, *((plan.preflight.launch,) if plan.preflight else ()))
    files |= {file.name: File(file.content) for launch in launched for file in launch.files}
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
