"""Launchers: from a layout to an argument list, one file each; others come from plugins."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neox.plugins import LAUNCHERS, Plugin, PluginError, plugin, what_failed
from neox.submit.launchers import flux, hydra, jsrun, openmpi, pals, pdsh, spawn, srun, torchrun
from neox.submit.launchers.parts import LaunchError, LaunchParts, program
from neox.submit.plan import LaunchPlan

__all__ = ["LaunchError", "LaunchParts", "launch", "program"]

Launch = Callable[[LaunchParts], LaunchPlan]
_LAUNCHERS: Mapping[str, Launch] = MappingProxyType(
    {
        "srun": srun.launch,
        "jsrun": jsrun.launch,
        "openmpi": openmpi.launch,
        "mpich": hydra.launch,
        "intelmpi": hydra.launch,
        "mvapich": hydra.launch,
        "pals": pals.launch,
        "flux": flux.launch,
        "pdsh": pdsh.launch,
        "torchrun": torchrun.launch,
        "spawn": spawn.launch,
    }
)


def launch(parts: LaunchParts) -> LaunchPlan:
    """The launch line of the site's launcher. Raises LaunchError, saying what to change."""
    kind = parts.site.launcher.kind
    if kind in _LAUNCHERS:
        return _LAUNCHERS[kind](parts)
    try:
        one = plugin(LAUNCHERS, kind, tuple(_LAUNCHERS))
        return _made(one, brought(one), parts)
    except PluginError as error:
        raise LaunchError(f"{parts.site.name}: {error}") from None


def brought(one: Plugin) -> Callable[..., object]:
    """The function of a plugin. Raises PluginError."""
    found = one.load()
    if not callable(found):
        raise PluginError(f"{one.title} is broken: a {type(found).__name__} is no function")
    return found


def _made(one: Plugin, start: Callable[..., object], parts: LaunchParts) -> LaunchPlan:
    try:
        made = start(parts)
    except LaunchError:
        raise
    except Exception as error:
        raise PluginError(f"{one.title} is broken: {what_failed(error)}") from error
    if not isinstance(made, LaunchPlan):
        raise PluginError(f"{one.title} is broken: it gave a {type(made).__name__}")
    return made
