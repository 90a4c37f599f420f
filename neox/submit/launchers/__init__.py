"""Launchers: from a layout to an argument list, one file each."""

from neox.submit.launchers import jsrun, openmpi, spawn, srun
from neox.submit.launchers.parts import LaunchError, LaunchParts
from neox.submit.plan import LaunchPlan

__all__ = ["LaunchError", "LaunchParts", "launch"]


def launch(parts: LaunchParts) -> LaunchPlan:
    """The launch line of the site's launcher. Raises LaunchError, saying what to change."""
    match parts.site.launcher.kind:
        case "srun":
            return srun.launch(parts)
        case "jsrun":
            return jsrun.launch(parts)
        case "openmpi":
            return openmpi.launch(parts)
        case "spawn":
            return spawn.launch(parts)
        case kind:
            raise LaunchError(f"{parts.site.name}: launcher {kind!r} starts no ranks here")
