"""jsrun of IBM Spectrum LSF: ranks live in resource sets."""

from neox.submit.launchers.hosts import in_link
from neox.submit.launchers.parts import LaunchParts, program, site_flags, words
from neox.submit.layout import free_cores, is_dense
from neox.submit.plan import LaunchFile, LaunchPlan
from neox.submit.words import literal

_SHARED = ("overlapping_rs: allow", "oversubscribe_gpu: allow")  # one GPU in several sets


def launch(parts: LaunchParts) -> LaunchPlan:
    """One resource set for each node where a rank sees every GPU, else one for each rank.

    The first is the centre's advice for deep learning (OLCF, IBM WML CE page); the second the
    user guide's for MPI programs. Both deal the free cores in order: a layout that leaves gaps, or
    takes the GPUs otherwise, is written rank by rank into an explicit resource file.
    """
    plain = is_dense(parts.node, parts.places) and _in_order(parts)
    files = () if plain else (LaunchFile(name="resources", content=_resources(parts)),)
    named = words(_sets(parts)) if plain else (literal("--erf_input"), in_link("resources"))
    return LaunchPlan(
        argv=(
            *words((program(parts.site),)),
            *named,
            *words((*site_flags(parts), *parts.extra)),
        ),
        files=files,
        rank_variable="JSM_NAMESPACE_RANK",
        local_rank_variable="JSM_NAMESPACE_LOCAL_RANK",
        size_variable="JSM_NAMESPACE_SIZE",
    )


def _sees_all(parts: LaunchParts) -> bool:
    return parts.site.launcher.gpu_visibility == "all"


def _in_order(parts: LaunchParts) -> bool:
    """Where a rank sees every GPU, rank.sh orders them; else jsrun deals them from 0 on."""
    gpus = [place.gpu for place in parts.places if place.gpu is not None]
    return _sees_all(parts) or gpus == list(range(len(gpus)))


# --- counted -------------------------------------------------------------------------------------


def _sets(parts: LaunchParts) -> tuple[str, ...]:
    return _set_for_each_node(parts) if _sees_all(parts) else _set_for_each_rank(parts)


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


# --- rank by rank --------------------------------------------------------------------------------


def _resources(parts: LaunchParts) -> str:
    """Lines "rank: 6: { host: 2; cpu: {0-6}; gpu: {0} }"; host 1 is the first compute node.

    CPUs are numbered logically: threads that the job may use, without gaps for reserved cores
    (https://github.com/olcf-tutorials/ERF-CPU-Indexing).
    """
    lines = ["cpu_index_using: logical", *(_SHARED if _sees_all(parts) else ())]
    for node in range(parts.nodes):
        for place in parts.places:
            rank = node * parts.ranks_per_node + place.local_rank
            cpus = ",".join(map(str, _logical(parts, place.cores)))
            gpus = _gpus(parts, place.gpu)
            lines.append(f"rank: {rank}: {{ host: {node + 1}; cpu: {{{cpus}}}{gpus} }}")
    return "".join(f"{line}\n" for line in lines)


def _logical(parts: LaunchParts, cores: tuple[int, ...]) -> tuple[int, ...]:
    free, threads = free_cores(parts.node), parts.node.threads_per_core
    return tuple(free.index(core) * threads + thread for core in cores for thread in range(threads))


def _gpus(parts: LaunchParts, own: int | None) -> str:
    if not parts.use_gpus or own is None:
        return ""
    seen = range(parts.node.gpus) if _sees_all(parts) else (own,)
    return f"; gpu: {{{','.join(map(str, seen))}}}"
