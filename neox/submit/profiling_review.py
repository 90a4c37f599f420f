"""The review's lines about a profile: of what, how large about, and what opens it."""

from collections.abc import Iterator

from neox.config.run_config import RunConfig
from neox.submit.plan import Geometry, Plan, Profiling

_ENDINGS = {
    "nsys": ".nsys-rep",
    "rocprofv3": "_results.pftrace",
    "rocprofv2": "_results.pftrace",
    "rocprof": ".json",
}

# Bytes of one rank's file for each kernel of a step. torch's is measured, on CPUs (150 to 190, and
# a GPU adds its side); the others are what their records hold: names, times, stacks.
_BYTES = {"torch": 200, "memory": 900, "nsys": 250, "rocprof": 400}
_KERNELS_PER_LAYER = 90  # of one micro batch, forward and backward
_BEYOND_LAYERS = 300  # embedding, loss, optimizer


def profile_lines(plan: Plan) -> Iterator[str]:
    """Of what, where it lies and how large it is about, and what opens it."""
    profiling = plan.profile
    if profiling is None:
        return
    yield which_ranks(profiling)
    count = profiled_ranks(plan)
    each = file_bytes(plan)
    size = f"about {_mb(each)} each" if count > 1 else f"about {_mb(each)}"
    total = f", {_mb(count * each)} together" if count > 1 else ""
    yield f"{profile_file(profiling)}: estimate, {size}{total}"
    yield f"open: {opened_by(profiling)}"


def which_ranks(profiling: Profiling) -> str:
    """ "nsys on ranks 0, 8, steps 10-12"."""
    first, last = profiling.steps
    match profiling.ranks.which:
        case "named":
            names = ", ".join(map(str, profiling.ranks.named))
            which = f"rank{'s' if len(profiling.ranks.named) > 1 else ''} {names}"
        case "one-per-node":
            which = "the first rank of each node"
        case "all":
            which = "every rank"
    when = f"steps {first}-{last}" if profiling.by_steps else "the whole run"
    return f"{profiling.recorder} on {which}, {when}"


def profiled_ranks(plan: Plan) -> int:
    assert plan.profile is not None
    match plan.profile.ranks.which:
        case "named":
            return len(plan.profile.ranks.named)
        case "one-per-node":
            return plan.nodes
        case "all":
            return plan.ranks


def is_profiled(plan: Plan, rank: int) -> bool:
    if plan.profile is None:
        return False
    match plan.profile.ranks.which:
        case "named":
            return rank in plan.profile.ranks.named
        case "one-per-node":
            return rank % plan.ranks_per_node == 0
        case "all":
            return True


def profile_file(profiling: Profiling) -> str:
    """As the run directory has it."""
    stem = "profiles/JOBID.rank-N"
    first, last = profiling.steps
    if profiling.tool == "torch":
        return f"{stem}.steps-{first}-{last}.json.gz"
    if profiling.tool == "memory":
        return f"{stem}.steps-{first}-{last}.memory.pickle"
    return f"{stem}{_ENDINGS[profiling.recorder]}"


def opened_by(profiling: Profiling) -> str:
    match profiling.tool:
        case "nsys":
            return "nsys-ui FILE, or nsys stats FILE for tables"
        case "memory":
            return "python -m torch.cuda._memory_viz trace_plot FILE -o memory.html"
        case _:
            return "ui.perfetto.dev in a browser"


def file_bytes(plan: Plan) -> float:
    """Of one rank: what is recorded grows with the kernels of the steps."""
    assert plan.profile is not None
    first, last = plan.profile.steps
    steps = last - first + 1
    if not plan.profile.by_steps:
        steps = plan.config.training.train_iters or steps
    return steps * kernels(plan.config, plan.geometry) * _BYTES[plan.profile.tool]


def kernels(config: RunConfig, cut: Geometry | None) -> float:
    """About how many a rank starts in a step."""
    if cut is None:
        return _BEYOND_LAYERS
    layers = (config.model.num_layers or 1) / cut.pipeline
    again = 4 / 3 if config.recompute.checkpoint_activations else 1
    return cut.accumulation * layers * _KERNELS_PER_LAYER * again + _BEYOND_LAYERS


def _mb(size: float) -> str:
    return f"{size / 1e9:,.2g} GB" if size >= 1e9 else f"{max(1.0, size / 1e6):,.0f} MB"
