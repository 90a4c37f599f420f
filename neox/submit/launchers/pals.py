"""mpiexec of HPE's PALS, beside PBS on Cray systems (ALCF's Polaris and Aurora)."""

from neox.sites.ranges import print_cores
from neox.submit.launchers.hosts import chosen_line, hosts_file
from neox.submit.launchers.parts import LaunchParts, program, site_flags, words
from neox.submit.layout import threads_of
from neox.submit.plan import LaunchPlan
from neox.submit.words import literal


def launch(parts: LaunchParts) -> LaunchPlan:
    """The nodes are those of the allocation; each rank sees every GPU."""
    counts = ("-n", str(parts.ranks), "--ppn", str(parts.ranks_per_node))
    return LaunchPlan(
        argv=(
            *words((program(parts.site), *counts)),
            *((literal("--hostfile"), hosts_file(parts)) if parts.spare_nodes else ()),
            *words((*_binding(parts), *site_flags(parts), *parts.extra)),
        ),
        chosen_line=chosen_line(parts, "{host}"),
        rank_variable="PALS_RANKID",
        local_rank_variable="PALS_LOCAL_RANKID",
        size_variable="PALS_SIZE",
        size_else="PMI_SIZE",
        ends_together=False,
    )


def _binding(parts: LaunchParts) -> tuple[str, ...]:
    match parts.site.launcher.binding:
        case "depth" if _counts_from_core_0(parts):
            threads = parts.cores_per_rank * parts.node.threads_per_core
            return (f"--depth={threads}", "--cpu-bind", "depth")
        case "depth" | "cpu-list":
            lists = (print_cores(threads_of(parts.node, place.cores)) for place in parts.places)
            return ("--cpu-bind", f"list:{':'.join(lists)}")
        case _:
            return ("--cpu-bind", "none")


def _counts_from_core_0(parts: LaunchParts) -> bool:
    """`depth` deals hardware threads 0, 1, 2 ... and knows of no reserved core (Aurora: rank 6 of
    12 then lies on both sockets)."""
    dealt = tuple(thread for p in parts.places for thread in threads_of(parts.node, p.cores))
    return dealt == tuple(range(len(dealt)))
