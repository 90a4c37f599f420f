"""Where each rank of a node runs, computed from the node's anatomy."""

from dataclasses import dataclass

from neox.sites.profile import BindingStyle, Gpu, NodeType
from neox.sites.ranges import parse_cores, print_cores

Cores = tuple[int, ...]
# styles that can only count cores upwards, so that GPUs follow them: Perlmutter's come out reversed
_FILLS_CORES: frozenset[BindingStyle] = frozenset({"closest", "cores", "depth"})


class LayoutError(ValueError):
    """The node cannot hold these ranks; the message names the number that does not fit."""


@dataclass(frozen=True, kw_only=True)
class RankPlace:
    """Where one rank of a node runs. Core numbers are physical cores, never reserved ones."""

    local_rank: int
    gpu: int | None  # index as the scheduler numbers it; None on a node without GPUs
    cores: Cores
    numa: int  # index of the domain that holds the cores
    nic: str | None


def layout(
    node: NodeType, ranks: int, binding: BindingStyle, *, use_gpus: bool = True
) -> tuple[RankPlace, ...]:
    """Give each rank one GPU and the free cores of that GPU's domain; without GPUs, cores alone.

    Every rank gets the same number of cores, because launchers know one number only.
    Raises LayoutError, naming the number that does not fit, when the node has fewer GPUs than
    `ranks` or a rank would be left without a core.
    """
    assert ranks > 0, ranks
    if use_gpus and node.gpu:
        return _beside_gpus(node, node.gpu, ranks, binding)
    return _on_cores(node, ranks)


def free_cores(node: NodeType) -> Cores:
    """The cores a job may use, in order."""
    reserved = set(node.reserved)
    return tuple(core for core in range(node.cores) if core not in reserved)


def is_dense(node: NodeType, places: tuple[RankPlace, ...]) -> bool:
    """Whether the ranks take the free cores block after block, as launchers that only count do."""
    taken = tuple(core for place in places for core in place.cores)
    return taken == free_cores(node)[: len(taken)]


def hardware_threads(node: NodeType, core: int) -> Cores:
    """The numbers under which the system knows the threads of `core` that a job uses."""
    step, first = (node.cores, core) if node.smt_numbering == "far" else (1, core * node.smt)
    return tuple(first + step * thread for thread in range(node.threads_per_core))


def threads_of(node: NodeType, cores: Cores) -> Cores:
    """The hardware threads that a job uses of these cores, in order."""
    return tuple(sorted(thread for core in cores for thread in hardware_threads(node, core)))


def numbered_by_domain(node: NodeType, cores: Cores) -> Cores:
    """The same cores as hwloc counts them logically: domain after domain."""
    order = [core for text in node.numa for core in parse_cores(text)] or list(range(node.cores))
    return tuple(order.index(core) for core in cores)


def cpu_mask(node: NodeType, cores: Cores) -> int:
    """One bit for each hardware thread that a job uses of these cores."""
    return sum(1 << thread for core in cores for thread in hardware_threads(node, core))


# --- GPUs ------------------------------------------------------------------------------------


def _beside_gpus(
    node: NodeType, gpu: Gpu, ranks: int, binding: BindingStyle
) -> tuple[RankPlace, ...]:
    if ranks > node.gpus:
        raise LayoutError(
            f"{ranks} ranks on a node with {node.gpus} GPUs; a rank needs a GPU of its own, "
            f"because NCCL refuses two on one: num_gpus={node.gpus} or less"
        )
    shares = _gpu_shares(node, gpu)
    chosen = _gpu_order(shares, ranks, binding)
    width = min(len(shares[index]) for index in chosen)
    return tuple(
        RankPlace(
            local_rank=local_rank,
            gpu=index,
            cores=shares[index][:width],
            numa=_domain(node, shares[index][0]),
            nic=gpu.nics[index] if gpu.nics else None,
        )
        for local_rank, index in enumerate(chosen)
    )


def _gpu_order(shares: tuple[Cores, ...], ranks: int, binding: BindingStyle) -> tuple[int, ...]:
    """The GPU of local rank 0, 1, ..."""
    if binding not in _FILLS_CORES:
        return tuple(range(ranks))
    if binding == "closest" and ranks == 1:
        return (0,)  # a lone rank is not bound to the closest one (Frontier user guide)
    # ranks fill the cores in order, and each takes the GPU beside it
    return tuple(sorted(range(len(shares)), key=lambda index: shares[index][0])[:ranks])


def _gpu_shares(node: NodeType, gpu: Gpu) -> tuple[Cores, ...]:
    """The free cores of each GPU; GPUs that name the same cores divide them evenly."""
    reserved = set(node.reserved)
    shares: list[Cores] = []
    for index, text in enumerate(gpu.cores):
        free = tuple(core for core in parse_cores(text) if core not in reserved)
        sharing = [other for other, cores in enumerate(gpu.cores) if cores == text]
        width = len(free) // len(sharing)
        if width == 0:
            raise LayoutError(
                f"GPU {index} has {len(free)} free cores ({text} without reserved ones) "
                f"for {len(sharing)} ranks; each needs one"
            )
        start = sharing.index(index) * width
        shares.append(free[start : start + width])
    return tuple(shares)


# --- no GPUs -----------------------------------------------------------------------------------


def _on_cores(node: NodeType, ranks: int) -> tuple[RankPlace, ...]:
    free = free_cores(node)
    if ranks > len(free):
        raise LayoutError(
            f"{ranks} ranks on a node with {len(free)} free cores; a rank needs a core of its "
            f"own: num_gpus={len(free)} or less"
        )
    blocks = _within_domains(node, ranks) or _even_blocks(free, ranks)
    return tuple(
        RankPlace(
            local_rank=local_rank,
            gpu=None,
            cores=block,
            numa=_domain(node, block[0]),
            nic=None,
        )
        for local_rank, block in enumerate(blocks)
    )


def _within_domains(node: NodeType, ranks: int) -> tuple[Cores, ...] | None:
    """Blocks that keep to NUMA domains: whole ones each, or several ranks inside one."""
    domains = [cores for cores in _free_domains(node) if cores]
    if ranks <= len(domains):
        if len(domains) % ranks:
            return None
        each = len(domains) // ranks
        joined = [sum(domains[i * each : (i + 1) * each], ()) for i in range(ranks)]
        width = min(len(cores) for cores in joined)
        return tuple(cores[:width] for cores in joined)
    per_domain = -(-ranks // len(domains))
    width = min(len(cores) // per_domain for cores in domains)
    if width == 0:
        return None
    blocks = [block for cores in domains for block in _even_blocks(cores, per_domain, width)]
    return tuple(blocks[:ranks])


def _even_blocks(cores: Cores, parts: int, width: int | None = None) -> tuple[Cores, ...]:
    width = width or len(cores) // parts
    return tuple(cores[i * width : (i + 1) * width] for i in range(parts))


def _free_domains(node: NodeType) -> list[Cores]:
    reserved = set(node.reserved)
    everything = (f"0-{node.cores - 1}",)
    return [
        tuple(core for core in parse_cores(text) if core not in reserved)
        for text in node.numa or everything
    ]


def _domain(node: NodeType, core: int) -> int:
    if not node.numa:
        return 0
    for index, text in enumerate(node.numa):
        if core in parse_cores(text):
            return index
    raise LayoutError(f"core {print_cores([core])} belongs to no NUMA domain of {node.name}")
