"""Each launcher's line, read back as that launcher's own documentation says it is read.

`ranks_of` gives, for every rank of a job, its node, the hardware threads it may run on and the GPU
it takes. Nothing here is shared with what writes the lines: numbers come from the line, the files
beside it and the scripts; only what a node looks like comes from the profile.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from neox.sites.profile import NodeType
from neox.submit.plan import Plan
from neox.submit.render import render
from tests.submit.askings import argv

Threads = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Read:
    """One rank as its launcher starts it."""

    node: int
    threads: Threads | None  # None: it may run anywhere
    gpu: int | None  # None: it takes none


def ranks_of(plan: Plan) -> dict[int, Read]:
    """By rank. Asserts that the line starts as many as it says, on as many nodes."""
    nodes, each = COUNTS[plan.site.launcher.kind](plan)
    cores = threads_of_ranks(plan, nodes, each)
    gpus = gpus_of_ranks(plan, cores, each)
    return {
        rank: Read(node=rank // each, threads=cores[rank], gpu=gpus[rank % each])
        for rank in range(nodes * each)
    }


# --- how many, where -----------------------------------------------------------------------------


def value(words: list[str], name: str) -> str:
    """Of `--name=value`, `--name value` or `-nvalue`; it stands once."""
    found = [word.split("=", 1)[1] for word in words if word.startswith(f"{name}=")]
    found += [after for before, after in pairwise(words) if before == name]
    if not found and len(name) == 2:
        found = [word[2:] for word in words if re.fullmatch(rf"{name}[0-9].*", word)]
    assert len(found) == 1, (name, words)
    return found[0]


def file_of(plan: Plan, name: str) -> str:
    (content,) = [file.content for file in plan.launch.files if file.name == name]
    return content


def _srun(plan: Plan) -> tuple[int, int]:
    words = argv(plan)
    nodes, each = int(value(words, "--nodes")), int(value(words, "--ntasks-per-node"))
    assert int(value(words, "--ntasks")) == nodes * each
    return nodes, each


def _jsrun(plan: Plan) -> tuple[int, int]:
    words = argv(plan)
    if "--erf_input" in words:
        hosts = [host for _, host, _, _ in _erf(plan)]
        return max(hosts), len(hosts) // max(hosts)
    sets, on_node, ranks = (int(value(words, name)) for name in ("-n", "-r", "-a"))
    assert sets % on_node == 0
    return sets // on_node, on_node * ranks


def _openmpi(plan: Plan) -> tuple[int, int]:
    words, ranks = argv(plan), int(value(argv(plan), "-np"))
    if plan.hosts:
        slots = [int(line.split("slots=")[1]) for line in file_of(plan, "hostfile").splitlines()]
        assert sum(slots) == ranks
        assert len(set(slots)) == 1
        return len(slots), slots[0]
    if any("rankfile" in word for word in words):
        last = file_of(plan, "rankfile").splitlines()[-1]
        nodes = int(re.findall(r"=\+n(\d+) ", last)[0]) + 1
        return nodes, ranks // nodes
    each = int(value(words, "--map-by").split(":")[1])
    return ranks // each, each


def _hydra(plan: Plan) -> tuple[int, int]:
    ranks, each = int(value(argv(plan), "-np")), int(value(argv(plan), "-ppn"))
    assert ranks % each == 0
    if plan.hosts:
        assert len(file_of(plan, "hostfile").splitlines()) == ranks // each
    return ranks // each, each


def _pals(plan: Plan) -> tuple[int, int]:
    ranks, each = int(value(argv(plan), "-n")), int(value(argv(plan), "--ppn"))
    assert ranks % each == 0
    return ranks // each, each


def _flux(plan: Plan) -> tuple[int, int]:
    assert argv(plan)[1] == "run"
    return int(value(argv(plan), "--nodes")), int(value(argv(plan), "--tasks-per-node"))


def _pdsh(plan: Plan) -> tuple[int, int]:
    nodes = len(file_of(plan, "hosts").splitlines())
    assert int(value(argv(plan), "-f")) >= nodes, "a fan-out below the nodes starts some too late"
    script = render(plan, link=1).node or ""
    each = int(re.findall(r"index < (\d+); index\+\+", script)[0])
    assert f"rank=$((node_rank * {each} + index))" in script
    assert f"WORLD_SIZE={nodes * each}" in script
    return nodes, each


def _torchrun(plan: Plan) -> tuple[int, int]:
    words = (render(plan, link=1).node or "").replace("\\\n", " ").split()
    assert "--max-restarts=0" in words
    return int(value(words, "--nnodes")), int(value(words, "--nproc-per-node"))


def _spawn(plan: Plan) -> tuple[int, int]:
    job = render(plan, link=1).job
    return 1, int(re.findall(r"rank < (\d+); rank\+\+", job)[0])


COUNTS = {
    "srun": _srun,
    "jsrun": _jsrun,
    "openmpi": _openmpi,
    "mpich": _hydra,
    "intelmpi": _hydra,
    "mvapich": _hydra,
    "pals": _pals,
    "flux": _flux,
    "pdsh": _pdsh,
    "torchrun": _torchrun,
    "spawn": _spawn,
}


# --- cores ---------------------------------------------------------------------------------------


def threads_of_ranks(plan: Plan, nodes: int, each: int) -> list[Threads | None]:
    """By rank; rank.sh's taskset is the last to bind."""
    if plan.site.launcher.binding == "wrapper":
        bound: list[Threads] = _taskset(plan)
    elif plan.site.launcher.binding in ("none", "mpibind"):
        return [None] * (nodes * each)
    else:
        bound = _BOUND[plan.site.launcher.kind](plan, each)
    assert len(bound) in (each, nodes * each)
    return [*bound] if len(bound) == nodes * each else [*bound] * nodes


def thread_list(text: str) -> Threads:
    """ "1-3,65"."""
    spans = (part.partition("-") for part in text.split(","))
    return frozenset(t for low, _, high in spans for t in range(int(low), int(high or low) + 1))


def mask(text: str) -> Threads:
    return frozenset(bit for bit in range(1024) if int(text, 16) >> bit & 1)


def siblings(node: NodeType, core: int) -> Threads:
    """The threads of a core that a job uses."""
    if node.smt_numbering == "far":
        return frozenset(core + node.cores * i for i in range(node.threads_per_core))
    return frozenset(core * node.smt + i for i in range(node.threads_per_core))


def usable(node: NodeType) -> list[int]:
    return [core for core in range(node.cores) if core not in node.reserved]


def whole(node: NodeType, cores: list[int]) -> Threads:
    return frozenset[int]().union(*(siblings(node, core) for core in cores))


def dealt(node: NodeType, each: int, width: int) -> list[Threads]:
    """What launchers give that count cores in order and never see a reserved one."""
    free = usable(node)
    return [whole(node, free[i * width : (i + 1) * width]) for i in range(each)]


def _taskset(plan: Plan) -> list[Threads]:
    rank = render(plan, link=1).rank
    assert "taskset -cp" in rank
    planned = re.findall(r"^planned=\((.*)\)$", rank, re.MULTILINE)[0]
    return [thread_list(text) for text in planned.split()]


def _of_srun(plan: Plan, each: int) -> list[Threads]:
    words = argv(plan)
    bind = next((w.split("=", 1)[1] for w in words if w.startswith("--cpu-bind=")), "")
    if bind.startswith("mask_cpu:"):
        assert not [word for word in words if word.startswith(("--cpus-per-task", "-c"))]
        return [mask(text) for text in bind.removeprefix("mask_cpu:").split(",")]
    threads = int(value(words, "--threads-per-core"))
    width, rest = divmod(int(value(words, "--cpus-per-task")), threads)
    assert rest == 0
    if bind == "cores":
        assert value(words, "--distribution") == "block:block"
    return dealt(plan.node_type, each, width)


def _erf(plan: Plan) -> list[tuple[int, int, list[int], list[int]]]:
    """Rank, host, logical CPUs and GPUs of each line of an explicit resource file."""
    head, *lines = file_of(plan, "resources").splitlines()
    assert head == "cpu_index_using: logical"
    form = re.compile(r"rank: (\d+): \{ host: (\d+); cpu: \{([\d,]+)\}(?:; gpu: \{([\d,]+)\})? \}")
    found = [form.fullmatch(line) for line in lines if line.startswith("rank:")]
    numbers = [
        (int(m[1]), int(m[2]), [*map(int, m[3].split(","))], [*map(int, (m[4] or "").split(","))])
        for m in found
        if m and m[4]
    ] or [(int(m[1]), int(m[2]), [*map(int, m[3].split(","))], []) for m in found if m]
    assert [rank for rank, *_ in numbers] == list(range(len(numbers)))
    assert len(numbers) == sum(line.startswith("rank:") for line in lines)
    return numbers


def _of_jsrun(plan: Plan, each: int) -> list[Threads]:
    words, node = argv(plan), plan.node_type
    if "--erf_input" in words:
        every = [t for core in usable(node) for t in sorted(siblings(node, core))]
        return [frozenset(every[cpu] for cpu in cpus) for _, _, cpus, _ in _erf(plan)]
    packed = _packed(words)
    assert int(value(words, "-c")) == packed * int(value(words, "-a"))
    return dealt(node, each, packed)


def _packed(words: list[str]) -> int:
    (found,) = [word for word in words if word.startswith("-bpacked:")]
    return int(found.removeprefix("-bpacked:"))


def _of_openmpi(plan: Plan, each: int) -> list[Threads]:
    words, node = argv(plan), plan.node_type
    if not any("rankfile" in word for word in words):
        width = int(value(words, "--map-by").split("PE=")[1])
        assert value(words, "--bind-to") == "core"
        return dealt(node, each, width)
    by_domain = [c for text in node.numa for c in sorted(thread_list(text))]
    logical = by_domain or list(range(node.cores))
    slots = re.findall(r"^rank \d+=\S+ slot=(\S+)$", file_of(plan, "rankfile"), re.MULTILINE)
    return [whole(node, [logical[i] for i in thread_list(text)]) for text in slots]


def _of_mpich(plan: Plan, _each: int) -> list[Threads]:
    text = value(argv(plan), "-bind-to").removeprefix("user:")
    return [frozenset(map(int, one.split("+"))) for one in text.split(",")]


def _of_intel(plan: Plan, _each: int) -> list[Threads]:
    (text,) = [after for before, after in pairwise(argv(plan)) if before == "I_MPI_PIN_DOMAIN"]
    masks = text.removeprefix("[").removesuffix("]").split(",")
    assert all(one.startswith("0x") for one in masks)
    return [mask(one) for one in masks]


def _of_pals(plan: Plan, each: int) -> list[Threads]:
    words = argv(plan)
    bind = value(words, "--cpu-bind")
    if bind == "depth":
        depth = int(value(words, "--depth"))
        return [frozenset(range(i * depth, (i + 1) * depth)) for i in range(each)]
    return [thread_list(text) for text in bind.removeprefix("list:").split(":")]


def _of_flux(plan: Plan, _each: int) -> list[Threads]:
    (text,) = [w.split("map:")[1] for w in argv(plan) if w.startswith("cpu-affinity=map:")]
    return [thread_list(one) for one in text.split(";")]


_BOUND = {
    "srun": _of_srun,
    "jsrun": _of_jsrun,
    "openmpi": _of_openmpi,
    "mpich": _of_mpich,
    "intelmpi": _of_intel,
    "pals": _of_pals,
    "flux": _of_flux,
}


# --- GPUs ----------------------------------------------------------------------------------------


def gpus_of_ranks(plan: Plan, cores: list[Threads | None], each: int) -> list[int | None]:
    """By local rank: the one it is shown, else number LOCAL_RANK of those it sees."""
    if not plan.node_type.gpu or not plan.job.needs.gpus:
        return [None] * each
    if plan.site.launcher.gpu_visibility == "one":
        return _shown(plan, cores, each)
    names = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    order = [v.value[0] for v in plan.rank_variables if v.name in names]
    seen = order[0].text.split(",") if order else range(plan.node_type.gpus)  # type: ignore[union-attr]
    return [int(gpu) for gpu in seen][:each]


def _shown(plan: Plan, cores: list[Threads | None], each: int) -> list[int | None]:
    words = argv(plan)
    if plan.site.launcher.kind == "flux" and plan.site.launcher.binding != "mpibind":
        (text,) = [w.split("map:")[1] for w in words if w.startswith("gpu-affinity=map:")]
        return [int(gpu) for gpu in text.split(";")]
    if "--erf_input" in words:
        return [gpus[0] for *_, gpus in _erf(plan)[:each]]
    if "--gpu-bind=closest" in words:
        return _closest(plan.node_type, [threads or frozenset() for threads in cores[:each]])
    return list(range(each))


def _closest(node: NodeType, cores: list[Threads]) -> list[int | None]:
    """Each takes the first GPU beside it that is left; some may be beside the same cores."""
    assert node.gpu
    near = {i: whole(node, sorted(thread_list(text))) for i, text in enumerate(node.gpu.cores)}
    taken: list[int | None] = []
    for threads in cores:
        taken.append(next(i for i, around in near.items() if threads <= around and i not in taken))
    return taken
