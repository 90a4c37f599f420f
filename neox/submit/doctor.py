"""`neox-submit doctor`: what this machine has, what is missing, and what that costs."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from neox.content import shelf
from neox.plugins import LAUNCHERS, SCHEDULERS, Plugin, PluginError, plugins
from neox.run.exit_codes import ExitCode
from neox.submit import launchers, schedulers
from neox.submit.edge import Surroundings
from neox.submit.refusal import SchedulerError, UsageError
from neox.submit.runner import Runner
from neox.submit.schedulers.local import Local

if TYPE_CHECKING:
    from neox.sites.profile import Profile

ENGINE = ("torch", "deepspeed", "numpy", "tokenizers", "safetensors")
LOW_SPACE_GB = 20.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, whether it is there, and what a lack of it costs."""

    level: Literal["ok", "note", "missing"]
    what: str
    text: str

    def __str__(self) -> str:
        return f"  {self.level:<8}{self.what:<12} {self.text}"


def doctor(site_name: str | None, around: Surroundings, runner: Runner) -> int:
    """Print the findings; 0 when a job can be submitted from here, 4 when something is missing."""
    site = _site(site_name, around)
    findings = list(examine(site, around, runner))
    print(f"neox-submit on {around.hostname}" + (f", for {site.name}" if site else ""))
    print("\n".join(map(str, findings)))
    bad = any(finding.level == "missing" for finding in findings)
    return ExitCode.REFUSED if bad else ExitCode.DONE


def examine(site: "Profile | None", around: Surroundings, runner: Runner) -> Iterator[Finding]:
    yield _python()
    yield _engine(site)
    yield from _plugins()
    if site is not None:
        yield from _scheduler(site, around, runner)
        yield from _modules(site, around)
        yield from _launcher(site, around)
    yield from _run_area(around)


def _site(name: str | None, around: Surroundings) -> "Profile | None":
    from neox.sites.load import load_site  # noqa: PLC0415
    from neox.submit.identify import this_site  # noqa: PLC0415

    if name is None:
        try:
            name = this_site(around)
        except UsageError:
            return None  # what does not depend on a site is still worth saying
    return load_site(name, shelf("sites", environ=around.environ, cwd=around.cwd))


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(level="ok", what="python", text=f"{version} ({sys.executable})")


def _engine(site: "Profile | None") -> Finding:
    """The packages of the engine; on a login node their absence is normal."""
    missing = [name for name in ENGINE if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding(level="ok", what="engine", text=f"{', '.join(ENGINE)} are installed")
    text = f"{', '.join(missing)} not installed in this Python"
    if site is not None and site.python.kind == "submitting":
        text += f": the ranks of {site.name} use it, so no job can run; pip install 'neox[engine]'"
        return Finding(level="missing", what="engine", text=text)
    return Finding(level="note", what="engine", text=f"{text}: planning works, training here not")


_CHECKS: Mapping[str, Callable[[Plugin], object]] = MappingProxyType(
    {SCHEDULERS: schedulers.brought, LAUNCHERS: launchers.brought}
)


def _plugins() -> Iterator[Finding]:
    """Every scheduler and launcher of other packages, tried; a broken one is in nobody's way."""
    for group in _CHECKS:
        for one in plugins(group):
            try:
                _CHECKS[group](one)
            except PluginError as error:
                text = f"{error}; sites that name it cannot be planned, all others can"
                yield Finding(level="note", what="plugin", text=text)
            else:
                yield Finding(level="ok", what="plugin", text=one.title)


def _scheduler(site: "Profile", around: Surroundings, runner: Runner) -> Iterator[Finding]:
    kind = site.scheduler.kind
    try:
        dialect = schedulers.scheduler(kind)
    except PluginError as error:
        yield Finding(level="missing", what=kind, text=str(error))
        return
    for command in dialect.commands:
        if not _found(command, around):
            cost = "jobs cannot be submitted from here; --print works"
            yield Finding(level="missing", what=command, text=f"not on PATH: {cost}")
            return
    if isinstance(dialect, Local):
        yield Finding(level="ok", what=kind, text="a job is a process of this machine")
    else:
        yield _answers(kind, dialect.ping, runner)


def _answers(kind: str, ping: tuple[str, ...], runner: Runner) -> Finding:
    try:
        answer = runner.run(ping, timeout=20)
    except SchedulerError as error:
        return Finding(level="missing", what=kind, text=str(error))
    if answer.code != 0:
        return Finding(level="missing", what=kind, text=f"no answer: {answer.complaint}")
    return Finding(level="ok", what=kind, text=f"answers {ping[0]}")


def _modules(site: "Profile", around: Surroundings) -> Iterator[Finding]:
    """`module` is a shell function, so its tool's own variable is what can be looked at."""
    if not site.modules.load:
        return
    tool = next((n for n in ("LMOD_CMD", "MODULESHOME", "LMOD_DIR") if n in around.environ), None)
    if tool is None:
        cost = f"fine here, but {site.name}'s job script loads {len(site.modules.load)} modules"
        yield Finding(level="note", what="modules", text=f"no module command: {cost}")
    else:
        yield Finding(level="ok", what="modules", text=f"{tool}={around.environ[tool]}")


def _launcher(site: "Profile", around: Surroundings) -> Iterator[Finding]:
    """Only where the script starts its launcher on this machine."""
    if site.scheduler.kind != "local":
        return
    for command in _started_here(site):
        if _found(command, around):
            yield Finding(level="ok", what=PurePath(command).name, text="found")
        else:
            cost = "no job can start; install it, load its module, or name it as launcher.command"
            text = f"{command} is not there: {cost}"
            yield Finding(level="missing", what=PurePath(command).name, text=text)


def _started_here(site: "Profile") -> tuple[str, ...]:
    match site.launcher.kind:
        case "spawn" | "torchrun":
            return ()  # bash does, or the ranks' own Python
        case "mpich" | "intelmpi" | "mvapich" | "openmpi" | "pdsh":
            return (launchers.program(site), "ssh")
        case _:
            return (launchers.program(site),)


def _run_area(around: Surroundings) -> Iterator[Finding]:
    """Where runs go without -o: can it be written, and is there room for checkpoints?"""
    folder = around.cwd / "runs"
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    if not os.access(place, os.W_OK | os.X_OK):
        text = f"{place} cannot be written: give another place with -o DIR"
        yield Finding(level="missing", what="runs", text=text)
        return
    yield Finding(level="ok", what="runs", text=f"{folder} can be written")
    free = shutil.disk_usage(place).free / 1e9
    if free < LOW_SPACE_GB:
        text = f"{free:.1f} GB free: little for checkpoints (16 bytes a parameter each)"
        yield Finding(level="note", what="disk", text=text)
    else:
        yield Finding(level="ok", what="disk", text=f"{free:.0f} GB free")


def _found(command: str, around: Surroundings) -> bool:
    path = around.environ["PATH"] if "PATH" in around.environ else Path("/usr/bin")
    return shutil.which(command, path=str(path)) is not None
