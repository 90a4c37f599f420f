"""torchrun: one for each node, which starts the node's ranks.

The scheduler's own launcher starts it, with one task for each node that may use all of it; without
a scheduler pdsh does, and a lone machine needs nobody. Its elastic restart stays off: a job that
failed is the chain's to start again, from its checkpoint.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from neox.sites.profile import BindingStyle, LauncherKind
from neox.submit.launchers import flux, jsrun, pals, pdsh, srun
from neox.submit.launchers.parts import LaunchError, LaunchParts
from neox.submit.layout import free_cores
from neox.submit.plan import LaunchPlan, NodeScript

# by the scheduler's kind
_OUTER: Mapping[str, tuple[LauncherKind, Callable[[LaunchParts], LaunchPlan]]] = MappingProxyType(
    {
        "slurm": ("srun", srun.launch),
        "lsf": ("jsrun", jsrun.launch),
        "pbs": ("pals", pals.launch),
        "flux": ("flux", flux.launch),
        "local": ("pdsh", pdsh.launch),
    }
)


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError for a container that stands before Python in each rank, and for a
    scheduler of which we know no launcher.
    """
    if parts.site.container.kind not in ("none", "pyxis", "container-engine"):
        raise LaunchError(
            f"{parts.site.name}: torchrun would start outside the {parts.site.container.kind} "
            f'container that holds it; use another launcher.kind, such as "srun"'
        )
    outer = _outer(parts)
    inside = (*parts.site.launcher.flags, *parts.extra)
    node = outer.node or NodeScript(starts="torchrun", number=_number(outer), over_ssh=False)
    return dataclasses.replace(
        outer,
        rank_variable="RANK",
        local_rank_variable="LOCAL_RANK",
        size_variable="WORLD_SIZE",
        node=dataclasses.replace(node, starts="torchrun", arguments=inside),
    )


def _number(outer: LaunchPlan) -> str | None:
    return outer.rank_variable if outer.argv else None


def _outer(parts: LaunchParts) -> LaunchPlan:
    """The launch of one task for each node."""
    scheduler = parts.site.scheduler.kind
    if scheduler not in _OUTER:
        raise LaunchError(f"{parts.site.name}: nothing here starts torchruns under {scheduler}")
    kind, start = _OUTER[scheduler]
    if kind == "pdsh" and parts.nodes == 1 and not parts.hosts:
        return LaunchPlan(argv=(), rank_variable="", local_rank_variable="", size_variable="")
    launcher = dataclasses.replace(
        parts.site.launcher, kind=kind, binding=_unbound(kind), flags=(), command=None
    )
    whole = dataclasses.replace(parts.places[0], cores=free_cores(parts.node))
    site = dataclasses.replace(parts.site, launcher=launcher)
    return start(dataclasses.replace(parts, site=site, places=(whole,), extra=()))


def _unbound(kind: LauncherKind) -> BindingStyle:
    return "resource-set" if kind == "jsrun" else "none"
