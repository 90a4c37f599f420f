"""Open MPI's mpirun with a hostfile and a rankfile, both computed.

A rankfile, because `--map-by ppr:8:node:PE=7` deals cores in order and so crosses L3 groups where
some are reserved. Variables go by name (`-x NAME`): mpirun does not understand quoted values.
"""

from neox.sites.ranges import print_cores
from neox.submit.launchers.hosts import (
    check_hosts,
    chosen_line,
    hostfile,
    hosts_file,
    in_link,
)
from neox.submit.launchers.parts import LaunchParts, forwarded, program, site_flags, words
from neox.submit.layout import is_dense, numbered_by_domain
from neox.submit.plan import LaunchFile, LaunchPlan
from neox.submit.words import Literal, ShellVar, Word, literal

LINE = "{host} slots={slots}"


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    check_hosts(parts)
    files = [hostfile(parts, LINE)] if parts.hosts and not parts.spare_nodes else []
    hosts = (literal("--hostfile"), hosts_file(parts)) if parts.hosts else ()
    if _uses_rankfile(parts):
        files.append(LaunchFile(name=_rankfile_name(parts), content=_rankfile(parts)))
    names = forwarded(parts)
    forward = tuple(word for name in names for word in (literal("-x"), literal(name)))
    return LaunchPlan(
        argv=(
            *words((program(parts.site), "-np", str(parts.ranks))),
            *hosts,
            *_binding(parts),
            *words((*site_flags(parts), *parts.extra)),
            *forward,
        ),
        files=tuple(files),
        chosen_line=chosen_line(parts, LINE),
        chosen_ranks=_rankfile_name(parts) if parts.spare_nodes and _uses_rankfile(parts) else None,
        forward=names,
        rank_variable="OMPI_COMM_WORLD_RANK",
        local_rank_variable="OMPI_COMM_WORLD_LOCAL_RANK",
        size_variable="OMPI_COMM_WORLD_SIZE",
    )


def _uses_rankfile(parts: LaunchParts) -> bool:
    """Where the site says so, and where counting cores in order gives another layout."""
    binding = parts.site.launcher.binding
    return binding == "rankfile" or (binding == "cores" and not is_dense(parts.node, parts.places))


def _binding(parts: LaunchParts) -> tuple[Word, ...]:
    spread = f"ppr:{parts.ranks_per_node}:node"
    if parts.site.launcher.binding in ("none", "wrapper"):
        return words(("--map-by", spread, "--bind-to", "none"))
    if not _uses_rankfile(parts):
        return words(("--map-by", f"{spread}:PE={parts.cores_per_rank}", "--bind-to", "core"))
    if (parts.site.launcher.major_version or 4) < 5:
        return (literal("--rankfile"), _ranks_in(parts))
    return (literal("--map-by"), (Literal("rankfile:file="), *_ranks_in(parts)))


def _ranks_in(parts: LaunchParts) -> Word:
    """The link's rankfile, or with spare nodes the one that job.sh writes for its hosts."""
    return (ShellVar("used_ranks"),) if parts.spare_nodes else in_link("rankfile")


def _rankfile_name(parts: LaunchParts) -> str:
    """With spare nodes there are two: that of the preflight names all hosts."""
    return "rankfile-used" if parts.spare_nodes else "rankfile"


def _rankfile(parts: LaunchParts) -> str:
    """One line for each rank: "rank 8=node2 slot=1-7"; +n1 is the second host of an allocation.

    Cores are counted as hwloc does, both in Open MPI 4 and 5.
    """
    lines: list[str] = []
    for node in range(parts.nodes):
        named = parts.hosts and not parts.spare_nodes
        host = parts.hosts[node] if named else f"+n{node}"
        for place in parts.places:
            rank = node * parts.ranks_per_node + place.local_rank
            cores = print_cores(numbered_by_domain(parts.node, place.cores))
            lines.append(f"rank {rank}={host} slot={cores}\n")
    return "".join(lines)
