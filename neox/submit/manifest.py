"""`plan.json`: what a run directory was made from, enough to render the same bytes again.

The request, the profile and the job kind stand in it whole, so neither a changed profile nor a
moved config file changes a run that exists. The config is the run.yml beside it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neox.run.paths import RunPaths
from neox.sites.profile import Profile
from neox.submit.codec import CodecError, decode, encode
from neox.submit.files import read
from neox.submit.job_kind import JobKind
from neox.submit.refusal import RunDirectoryError
from neox.submit.request import Request

if TYPE_CHECKING:
    from neox.submit.plan import Plan

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    schema_version: int = SCHEMA_VERSION
    neox: str  # version that wrote the run directory
    python: str
    link: int  # the link that job.sh is written for
    request: Request
    site: Profile
    job: JobKind
    configs: Mapping[str, str]  # the config files as they were typed -> their text
    sha256: Mapping[str, str]  # job.sh, rank.sh, run.yml and the launch files, as reviewed
    summary: Mapping[str, object] = field(default_factory=dict)  # for people and other programs

    def text(self) -> str:
        return json.dumps(encode(self), indent=1, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def summary(plan: "Plan") -> dict[str, object]:
    """What a person or a dashboard asks first about a plan, as plain JSON values."""
    geometry = plan.geometry
    return {
        "run": str(plan.run.root),
        "site": plan.site.name,
        "job": plan.job.name,
        "queue": plan.queue.name,
        "account": plan.account,
        "nodes": plan.nodes,
        "ranks": plan.ranks,
        "seconds": plan.seconds,
        "checkpoint_bytes": plan.checkpoint_bytes,
        "train_iters": plan.config.training.train_iters,
        "chain": plan.chain,
        "geometry": None if geometry is None else encode(geometry),
        "cost": encode(plan.cost),
        "warnings": list(plan.warnings),
        "questions": list(plan.questions),
        "not_yet": list(plan.not_yet),
    }


def read_manifest(run: RunPaths) -> Manifest:
    """The manifest of a run or link directory. Raises RunDirectoryError when it is none."""
    if not run.plan.is_file():
        raise RunDirectoryError(
            f"{run.root}: not a run directory (there is no plan.json in it); "
            "give the folder that neox-submit wrote, runs/NAME"
        )
    text = read(run.plan)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise RunDirectoryError(f"{run.plan}:{error.lineno}: is not JSON: {error.msg}") from None
    found = data.get("schema_version") if isinstance(data, dict) else None
    if found != SCHEMA_VERSION:
        raise RunDirectoryError(
            f"{run.plan}: schema_version is {found!r}, and this neox-submit reads "
            f"{SCHEMA_VERSION}; use the version that wrote it"
        )
    try:
        return decode(Manifest, data)
    except CodecError as error:
        raise RunDirectoryError(f"{run.plan}: {error}; was it edited?") from None
