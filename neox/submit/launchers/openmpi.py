"""Open MPI's mpirun with a hostfile and a rankfile, both computed.

A rankfile, because `--map-by ppr:8:node:PE=7` deals cores in order and so crosses L3 groups where
some are reserved. Variables go by name (`-x NAME`): mpirun does not understand quoted values.
"""

from neox.sites.ranges import print_cores
from neox.submit.launchers.parts import LaunchError, LaunchParts, site_flags, words
from neox.submit.plan import LaunchFile, LaunchPlan
from neox.submit.words import Literal, ShellVar, Word, literal


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    _check_hosts(parts)
    files = [LaunchFile(name="hostfile", content=_hostfile(parts))] if parts.hosts else []
    hosts = (literal("--hostfile"), _in_link("hostfile")) if parts.hosts else ()
    if parts.site.launcher.binding == "rankfile":
        files.append(LaunchFile(name="rankfile", content=_rankfile(parts)))
    forward = tuple(word for name in parts.forward for word in (literal("-x"), literal(name)))
    return LaunchPlan(
        argv=(
            *words(("mpirun", "-np", str(parts.ranks))),
            *hosts,
            *_binding(parts),
            *words((*site_flags(parts), *parts.extra)),
            *forward,
        ),
        files=tuple(files),
        forward=parts.forward,
        rank_variable="OMPI_COMM_WORLD_RANK",
        local_rank_variable="OMPI_COMM_WORLD_LOCAL_RANK",
        size_variable="OMPI_COMM_WORLD_SIZE",
    )


def _check_hosts(parts: LaunchParts) -> None:
    if parts.site.scheduler.kind != "local":
        return  # mpirun finds the scheduler's allocation by itself
    if not parts.hosts:
        raise LaunchError(
            f"{parts.site.name} has no scheduler to choose hosts; name them in a hostfile "
            f'("node1 slots=8" on each line) and give hostfile=FILE'
        )
    if parts.nodes > len(parts.hosts):
        raise LaunchError(
            f"{parts.nodes} nodes, and the hostfile names {len(parts.hosts)}; "
            f"use --nodes {len(parts.hosts)}, or name more hosts"
        )


def _binding(parts: LaunchParts) -> tuple[Word, ...]:
    match parts.site.launcher.binding:
        case "rankfile" if (parts.site.launcher.major_version or 4) < 5:
            return (literal("--rankfile"), _in_link("rankfile"))
        case "rankfile":
            file = (Literal("rankfile:file="), ShellVar("link"), Literal("/rankfile"))
            return (literal("--map-by"), file)
        case "none":
            spread = f"ppr:{parts.ranks_per_node}:node"
            return words(("--map-by", spread, "--bind-to", "none"))
        case _:
            spread = f"ppr:{parts.ranks_per_node}:node:PE={parts.cores_per_rank}"
            return words(("--map-by", spread, "--bind-to", "core"))


def _hostfile(parts: LaunchParts) -> str:
    slots = parts.ranks_per_node
    return "".join(f"{host} slots={slots}\n" for host in parts.hosts[: parts.nodes])


def _rankfile(parts: LaunchParts) -> str:
    """One line for each rank: "rank 8=node2 slot=1-7"; +n1 is the second host of an allocation."""
    lines: list[str] = []
    for node in range(parts.nodes):
        host = parts.hosts[node] if parts.hosts else f"+n{node}"
        for place in parts.places:
            rank = node * parts.ranks_per_node + place.local_rank
            lines.append(f"rank {rank}={host} slot={print_cores(place.cores)}\n")
    return "".join(lines)


def _in_link(name: str) -> Word:
    return (ShellVar("link"), Literal(f"/{name}"))
