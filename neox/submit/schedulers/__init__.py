"""Schedulers: directives, commands and their output, one file each; others come from plugins."""

from typing import get_args

from neox.plugins import SCHEDULERS, Plugin, PluginError, plugin, what_failed
from neox.sites.profile import SchedulerKind
from neox.submit.schedulers.local import Local
from neox.submit.schedulers.scheduler import Scheduler


def scheduler(kind: str) -> Scheduler | Local:
    """The dialect of a kind that a profile names. Raises PluginError where there is none."""
    match kind:  # each imported where it is spoken: a login node has one of them
        case "slurm":
            from neox.submit.schedulers.slurm import Slurm  # noqa: PLC0415

            return Slurm()
        case "lsf":
            from neox.submit.schedulers.lsf import Lsf  # noqa: PLC0415

            return Lsf()
        case "pbs":
            from neox.submit.schedulers.pbs import Pbs  # noqa: PLC0415

            return Pbs()
        case "flux":
            from neox.submit.schedulers.flux import Flux  # noqa: PLC0415

            return Flux()
        case "local":
            return Local()
        case _:
            return brought(plugin(SCHEDULERS, kind, get_args(SchedulerKind)))


def brought(one: Plugin) -> Scheduler:
    """The scheduler of a plugin: what it names, or what that makes. Raises PluginError."""
    found = one.load()
    try:
        made = found() if callable(found) else found
    except Exception as error:
        raise PluginError(f"{one.title} is broken: {what_failed(error)}") from error
    if not isinstance(made, Scheduler):
        wanted = (name for name in dir(Scheduler) if not name.startswith("_"))
        lacks = ", ".join(name for name in wanted if not hasattr(made, name))
        raise PluginError(f"{one.title} is broken: a {type(made).__name__} without {lacks}")
    return made
