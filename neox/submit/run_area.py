"""Where a run directory may lie: its name, and the rules of the file system it is on."""

import re
from dataclasses import dataclass
from pathlib import Path

from neox.config.run_config import RunConfig
from neox.sites.profile import Profile, StorageArea
from neox.submit.evidence import source_of
from neox.submit.places import Names, filled
from neox.submit.problem import Problem
from neox.submit.quoting import shown
from neox.submit.request import Request

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")
GB = 10**9


@dataclass(frozen=True, kw_only=True)
class Area:
    """A file system of the site with its placeholders filled in."""

    name: str  # "run", "home": its key in the profile
    path: Path
    rules: StorageArea


def run_root(request: Request) -> Path:
    """RUNS/NAME, absolute. The name is that of the first config unless one is given."""
    runs = request.cwd / (request.output or Path("runs"))
    first = _without_suffix(request.configs[0].name) if request.configs else request.job
    return runs / (request.name if request.name is not None else first)


def _without_suffix(name: str) -> str:
    """`.yml` may be left out, so that what follows a dot may be part of the name: mamba-1.4B."""
    for suffix in (".yml", ".yaml", ".json"):
        name = name.removesuffix(suffix)
    return name


def name_problems(request: Request) -> list[Problem]:
    """A run's name stands in paths, directives and tables, so few characters are allowed."""
    problems: list[Problem] = []
    root = run_root(request)
    name = request.name if request.name is not None else root.name
    if not _NAME.fullmatch(name):
        text = (
            f"name: {shown(name)} cannot name a run; use --name with up to 100 letters, digits "
            f"and . _ + = -, the first a letter or digit"
        )
        problems.append(Problem(about="name", text=text))
    if "%" in str(root.parent):
        text = (
            f"output folder: {shown(str(root.parent))} holds a %, which schedulers replace in "
            f"file names; use -o with another folder"
        )
        problems.append(Problem(about="output", text=text))
    return problems


def area_of(site: Profile, path: Path, names: Names) -> Area | None:
    """The innermost file system of the site that holds this path."""
    areas: list[Area] = []
    for name, rules in site.storage.items():
        text = filled(rules.path, names)
        if text is not None and path.is_relative_to(text):
            areas.append(Area(name=name, path=Path(text), rules=rules))
    return max(areas, key=lambda area: len(area.path.parts), default=None)


def area_problem(site: Profile, root: Path, names: Names) -> Problem | None:
    """A run directory that its own job cannot write, or that ends with the job."""
    reason = _why_not(site, root, names)
    if reason is None:
        return None
    return Problem(about="output", text=f"output folder: {reason}{_better(site, names)}")


def save_problem(site: Profile, request: Request, save: str | None, names: Names) -> Problem | None:
    """A folder of the config's own for checkpoints that is such a place."""
    reason = _why_not(site, request.cwd / save, names) if save is not None else None
    if reason is None:
        return None
    text = f"save={save}: {reason}; leave save out, and checkpoints lie in the run directory"
    return Problem(about="save", text=text)


def _why_not(site: Profile, path: Path, names: Names) -> str | None:
    """Why a job cannot keep something there; None where it can."""
    area = area_of(site, path, names)
    if area is None:
        return None
    source = source_of(site, f"storage.{area.name}")
    if area.rules.compute_access != "rw":
        word = "read-only" if area.rules.compute_access == "ro" else "not there"
        return f"{area.path} is {word} on the compute nodes of {site.name} ({source})"
    if area.rules.wiped:
        return f"{area.path} is wiped when a job of {site.name} ends ({source})"
    return None


def area_warnings(site: Profile, root: Path, home: Path, names: Names) -> list[str]:
    """Homes are small, and scratch is purged."""
    area = area_of(site, root, names)
    warnings: list[str] = []
    if site.scheduler.kind != "local" and root.is_relative_to(home):
        warnings.append(f"the run lies in your home directory {home}{_better(site, names)}")
    if area and area.rules.purge_days:
        warnings.append(
            f"files in {area.path} are purged after {area.rules.purge_days} days; "
            f"copy checkpoints that you want to keep"
        )
    return warnings


def quota_warning(
    site: Profile, root: Path, names: Names, config: RunConfig, checkpoint_bytes: int
) -> str | None:
    """Whether the checkpoints that the config keeps outgrow the file system's quota."""
    area = area_of(site, root, names)
    kept = kept_checkpoints(config)
    if area is None or area.rules.quota_gb is None or kept is None:
        return None
    needed = kept * checkpoint_bytes / GB
    if needed <= area.rules.quota_gb:
        return None
    fitting = int(area.rules.quota_gb * GB // checkpoint_bytes)
    return (
        f"{kept} checkpoints of {checkpoint_bytes / GB:,.0f} GB are {needed:,.0f} GB, and the "
        f"quota of {area.path} is {area.rules.quota_gb:,.0f} GB; "
        f"keep_last_n_checkpoints={max(1, fitting // 2)} would stay below"
    )


def kept_checkpoints(config: RunConfig) -> int | None:
    """How many checkpoints lie there in the end; None where the config does not say."""
    if config.checkpoint.keep_last_n_checkpoints:
        return config.checkpoint.keep_last_n_checkpoints
    every = save_interval(config)
    if every is None or config.training.train_iters is None:
        return None
    return max(1, config.training.train_iters // every)


def save_interval(config: RunConfig) -> int | None:
    """Steps between saves, where they are evenly spaced."""
    factor = config.checkpoint.checkpoint_factor
    if factor is None or config.checkpoint.checkpoint_scale != "linear":
        return None
    return max(1, int(factor))


def _better(site: Profile, names: Names) -> str:
    """The site's own place for runs, as a command that would do."""
    if "run" not in site.storage:
        return "; use -o with another folder"
    path = filled(site.storage["run"].path, names)
    return f"; use -o {path}/runs" if path else "; use -o with another folder"
