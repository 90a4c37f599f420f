"""jsrun of IBM Spectrum LSF: ranks live in resource sets."""

from neox.submit.launchers.parts import LaunchError, LaunchParts, site_flags, words
from neox.submit.layout import is_dense
from neox.submit.plan import LaunchPlan


def launch(parts: LaunchParts) -> LaunchPlan:
    """One resource set for each node where a rank sees every GPU, else one for each rank.

    The first is the centre's advice for deep learning (OLCF, IBM WML CE page); the second the
    user guide's for MPI programs. Raises LaunchError for a layout that leaves gaps between ranks.
    """
    if not is_dense(parts.node, parts.places):
        raise LaunchError("jsrun deals free cores in order, and this layout leaves some between")
    sets = _set_for_each_node(parts) if _sees_all(parts) else _set_for_each_rank(parts)
    return LaunchPlan(
        argv=words(("jsrun", *sets, *site_flags(parts), *parts.extra)),
        rank_variable="JSM_NAMESPACE_RANK",
        local_rank_variable="JSM_NAMESPACE_LOCAL_RANK",
        size_variable="JSM_NAMESPACE_SIZE",
    )


def _sees_all(parts: LaunchParts) -> bool:
    return parts.site.launcher.gpu_visibility == "all"


def _set_for_each_node(parts: LaunchParts) -> tuple[str, ...]:
    gpus = parts.node.gpus if parts.use_gpus else 0
    ranks, cores = parts.ranks_per_node, parts.cores_per_rank
    sizes = ("-r1", f"-g{gpus}", f"-a{ranks}", f"-c{ranks * cores}")
    return (f"-n{parts.nodes}", *sizes, f"-bpacked:{cores}")


def _set_for_each_rank(parts: LaunchParts) -> tuple[str, ...]:
    gpus = 1 if parts.use_gpus else 0
    ranks, cores = parts.ranks_per_node, parts.cores_per_rank
    sizes = (f"-r{ranks}", "-a1", f"-c{cores}", f"-g{gpus}")
    return (f"-n{parts.ranks}", *sizes, f"-bpacked:{cores}", "-dpacked")
