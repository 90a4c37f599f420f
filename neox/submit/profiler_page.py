"""What rank.sh prints about the profiler: for which ranks, and what stands before Python."""

from dataclasses import dataclass

from neox.submit.plan import Plan, Profiling
from neox.submit.profiling_review import which_ranks
from neox.submit.quoting import Shell
from neox.submit.words import Word


@dataclass(frozen=True, kw_only=True)
class ProfilerPage:
    says: str  # "nsys on ranks 0, 8, steps 10-12"
    variable: Shell  # of a rank, and what it is in those that are recorded: RANK, "0 | 8"
    pattern: Shell
    steps: str
    wrap: tuple[Word, ...]  # before Python; empty for what the engine does itself


def profiler_page(plan: Plan) -> ProfilerPage | None:
    profiling = plan.profile
    if profiling is None:
        return None
    variable, pattern = _chosen(profiling)
    first, last = profiling.steps
    return ProfilerPage(
        says=which_ranks(profiling),
        variable=Shell(variable),
        pattern=Shell(pattern),
        steps=f"{first}:{last}",
        wrap=profiling.wrap,
    )


def _chosen(profiling: Profiling) -> tuple[str, str]:
    match profiling.ranks.which:
        case "named":
            return "RANK", " | ".join(map(str, profiling.ranks.named))
        case "one-per-node":
            return "LOCAL_RANK", "0"
        case "all":
            return "RANK", "*"
