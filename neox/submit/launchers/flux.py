"""flux run. Its own plugins bind cores and GPUs, or the centre's mpibind does."""

from neox.sites.ranges import print_cores
from neox.submit.launchers.parts import LaunchParts, program, site_flags, words
from neox.submit.layout import threads_of
from neox.submit.plan import LaunchPlan


def launch(parts: LaunchParts) -> LaunchPlan:
    """Whole nodes of the allocation; the first rank that fails ends the job's step."""
    counts = ("--exclusive", f"--nodes={parts.nodes}", f"--tasks-per-node={parts.ranks_per_node}")
    options = ("-o", "exit-on-error", *_binding(parts))
    return LaunchPlan(
        argv=words(
            (program(parts.site), "run", *counts, *options, *site_flags(parts), *parts.extra)
        ),
        rank_variable="FLUX_TASK_RANK",
        local_rank_variable="FLUX_TASK_LOCAL_ID",
        size_variable="FLUX_JOB_SIZE",
    )


def _binding(parts: LaunchParts) -> tuple[str, ...]:
    """Lists for local rank 0, 1, ... with `;` between them (flux-shell-options(7))."""
    if parts.site.launcher.binding == "mpibind":
        return ()
    cores, gpus = "off", "off"
    if parts.site.launcher.binding == "map":
        lists = (print_cores(threads_of(parts.node, place.cores)) for place in parts.places)
        cores = f"map:{';'.join(lists)}"
    if parts.use_gpus and parts.site.launcher.gpu_visibility == "one":
        gpus = f"map:{';'.join(str(place.gpu) for place in parts.places)}"
    return ("-o", f"cpu-affinity={cores}", "-o", f"gpu-affinity={gpus}")
