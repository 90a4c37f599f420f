"""Hydra's mpiexec: MPICH's own, and what Intel MPI and MVAPICH made of it.

It passes the whole environment on. A rank that fails does not end the others, because ours never
call MPI_Init: job.sh sees to that.
"""

from neox.submit.launchers.hosts import check_hosts, chosen_line, hostfile, hosts_file
from neox.submit.launchers.parts import LaunchParts, program, site_flags, words
from neox.submit.layout import cpu_mask, threads_of
from neox.submit.plan import LaunchPlan
from neox.submit.words import literal

LINE = "{host}:{slots}"


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    check_hosts(parts)
    hosts = (literal("-f"), hosts_file(parts)) if parts.hosts else ()
    counts = ("-np", str(parts.ranks), "-ppn", str(parts.ranks_per_node))
    return LaunchPlan(
        argv=(
            *words((*_placement(parts), program(parts.site), *counts)),
            *hosts,
            *words((*_binding(parts), *site_flags(parts), *parts.extra)),
        ),
        files=(hostfile(parts, LINE),) if parts.hosts and not parts.spare_nodes else (),
        chosen_line=chosen_line(parts, LINE),
        rank_variable="PMI_RANK",
        local_rank_variable="MPI_LOCALRANKID",
        size_variable="PMI_SIZE",
        ends_together=False,
    )


def _placement(parts: LaunchParts) -> tuple[str, ...]:
    """Inside an allocation Intel's mpiexec takes the scheduler's word over -ppn, unless told."""
    if parts.site.launcher.kind == "intelmpi" and parts.site.scheduler.kind != "local":
        return ("env", "I_MPI_JOB_RESPECT_PROCESS_PLACEMENT=0")
    return ()


def _binding(parts: LaunchParts) -> tuple[str, ...]:
    match parts.site.launcher.kind:
        case "intelmpi":
            return ("-genv", *_intel(parts))
        case "mvapich":  # bound in MPI_Init, under two names
            return ("-genv", "MV2_ENABLE_AFFINITY", "0", "-genv", "MVP_ENABLE_AFFINITY", "0")
        case _:
            return ("-bind-to", _user_list(parts))


def _user_list(parts: LaunchParts) -> str:
    """ "user:0+1+2,3+4+5": hardware threads of local rank 0, 1, ...; it knows no ranges."""
    if parts.site.launcher.binding != "user-list":
        return "none"
    threads = ("+".join(map(str, threads_of(parts.node, p.cores))) for p in parts.places)
    return f"user:{','.join(threads)}"


def _intel(parts: LaunchParts) -> tuple[str, str]:
    if parts.site.launcher.binding != "mask":
        return ("I_MPI_PIN", "0")
    # without 0x it prints an error and pins its own way
    masks = (f"{cpu_mask(parts.node, place.cores):#x}" for place in parts.places)
    return ("I_MPI_PIN_DOMAIN", f"[{','.join(masks)}]")
