"""Launchers: from a layout to an argument list, one file each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neox.sites.profile import LauncherKind
from neox.submit.launchers import flux, hydra, jsrun, openmpi, pals, pdsh, spawn, srun, torchrun
from neox.submit.launchers.parts import LaunchError, LaunchParts, program
from neox.submit.plan import LaunchPlan

__all__ = ["LaunchError", "LaunchParts", "launch", "program"]

_LAUNCHERS: Mapping[LauncherKind, Callable[[LaunchParts], LaunchPlan]] = MappingProxyType(
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
    return _LAUNCHERS[parts.site.launcher.kind](parts)
