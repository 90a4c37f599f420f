"""No launcher: job.sh starts the ranks of its own machine itself and waits for all of them."""

from neox.submit.launchers.parts import LaunchError, LaunchParts
from neox.submit.plan import LaunchPlan


def launch(parts: LaunchParts) -> LaunchPlan:
    """An empty argv; job.sh sets the rank variables. Raises LaunchError for a second node."""
    if parts.nodes > 1:
        raise LaunchError(
            f"{parts.site.name} is one machine, and {parts.nodes} nodes are asked for; "
            f"use --nodes 1, or --site openmpi with a hostfile"
        )
    if parts.extra:
        raise LaunchError(
            f"launch-arg: {parts.extra[0]!r} has nowhere to go, because {parts.site.name} starts "
            f"its ranks without a launcher; leave --launch-arg out"
        )
    return LaunchPlan(
        argv=(),
        rank_variable="RANK",
        local_rank_variable="LOCAL_RANK",
        size_variable="WORLD_SIZE",
    )
