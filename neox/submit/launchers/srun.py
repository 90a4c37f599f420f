"""Slurm's srun. Every binding flag stands on the line: nothing is left to inherited values."""

from neox.submit.launchers.parts import (
    LaunchError,
    LaunchParts,
    merged,
    program,
    site_flags,
    words,
)
from neox.submit.layout import cpu_mask, is_dense
from neox.submit.plan import LaunchPlan
from neox.submit.words import Literal, ShellVar


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError where only masks say the layout, and binding or queue rule them out."""
    counts = (
        f"--nodes={parts.nodes}",
        f"--ntasks={parts.ranks}",
        f"--ntasks-per-node={parts.ranks_per_node}",
        *_cores(parts),
    )
    ending = ("--kill-on-bad-exit=1",)  # else the ranks of a dead one wait for it for ever
    flags = merged(counts, _binding(parts), site_flags(parts), ending)
    chosen = ((Literal("--exclude="), ShellVar("left_out")),) if parts.spare_nodes else ()
    argv = (*words((program(parts.site), *flags)), *chosen)
    return LaunchPlan(
        argv=(*argv, *parts.container, *words(parts.extra)),
        rank_variable="SLURM_PROCID",
        local_rank_variable="SLURM_LOCALID",
        size_variable="SLURM_NTASKS",
    )


def _cores(parts: LaunchParts) -> tuple[str, ...]:
    threads = f"--threads-per-core={parts.node.threads_per_core}"
    if _uses_masks(parts):
        return (threads,)  # a mask and -c do not go together (LUMI training, 202-Binding)
    return (f"--cpus-per-task={parts.cores_per_rank * parts.node.threads_per_core}", threads)


def _binding(parts: LaunchParts) -> tuple[str, ...]:
    if _uses_masks(parts):
        return (f"--cpu-bind=mask_cpu:{_masks(parts)}",)
    if parts.site.launcher.binding == "cores":
        # Slurm's own default deals ranks to sockets in turn, away from their GPUs
        return ("--cpu-bind=cores", "--distribution=block:block")
    return ()


def _uses_masks(parts: LaunchParts) -> bool:
    """Masks where the site says so, and where counting cores in order gives another layout."""
    match parts.site.launcher.binding:
        case "mask":
            return True
        case "cores" | "closest":
            return not is_dense(parts.node, parts.places)
        case _:
            return False


def _masks(parts: LaunchParts) -> str:
    if not parts.queue.exclusive:
        raise LaunchError(
            f"queue {parts.queue.name} shares its nodes, and masks of cores need whole ones; "
            f"use another --queue, or set exclusive = true for it in the profile {parts.site.name}"
        )
    return ",".join(f"{cpu_mask(parts.node, place.cores):x}" for place in parts.places)
