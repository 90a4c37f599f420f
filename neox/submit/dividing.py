"""How the ranks divide model and batch, how fast that may be, and what is recorded of it."""

from neox.config.derive import resolve
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.frozen import Frozen, frozen
from neox.models.spec import ModelSpec
from neox.submit.case import Case
from neox.submit.estimate import pace_of
from neox.submit.geometry import geometry_of, geometry_problems
from neox.submit.placing import Placed
from neox.submit.plan import Geometry, Profiling
from neox.submit.problem import Problem
from neox.submit.profiling import Recorded, profile_problems, profiling_of
from neox.submit.request import Request
from neox.submit.walltime import Pace


@frozen
class Divided(Frozen):
    config: RunConfig  # resolved for this number of ranks
    geometry: Geometry | None  # None for a job that trains nothing
    spec: ModelSpec | None  # None also where only the tokenizer knows the model's size
    pace: Pace  # estimates, where there is a spec
    profile: Profiling | None


def divide(case: Case, request: Request, placed: Placed, problems: list[Problem]) -> Divided | None:
    """None, with the reasons among the problems, where model or batch cannot be divided."""
    config, geometry = case.base, None
    if case.job.ranks == "per-gpu":
        resolved = _resolved(case, request, placed, problems)
        if resolved is None:
            return None
        config, geometry = resolved, geometry_of(resolved, placed.world)
    spec = _spec(config) if geometry else None
    pace = Pace()
    if geometry and spec:
        pace = pace_of(config, spec, geometry, placed.node, placed.nodes)
    profile = _profile(case, request, placed, config, problems)
    return Divided(config=config, geometry=geometry, spec=spec, pace=pace, profile=profile)


def _resolved(
    case: Case, request: Request, placed: Placed, problems: list[Problem]
) -> RunConfig | None:
    found = geometry_problems(case.base, request, placed.nodes, placed.ranks_per_node)
    problems += found
    if found:
        return None
    try:
        return resolve(case.given, placed.world)
    except ConfigErrors as errors:
        problems += [
            Problem(about=f"config {problem.file}:{problem.line}", text=str(problem))
            for problem in errors.problems
        ]
        return None


def _spec(config: RunConfig) -> ModelSpec | None:
    try:
        return model_spec(config)
    except ConfigErrors:
        return None


def _profile(
    case: Case, request: Request, placed: Placed, config: RunConfig, problems: list[Problem]
) -> Profiling | None:
    recorded = Recorded(
        site=case.site,
        job=case.job,
        config=config,
        node=placed.node,
        use_gpus=placed.use_gpus,
        ranks=placed.world,
    )
    found = tuple(profile_problems(recorded, request))
    problems += found
    return None if found else profiling_of(recorded, request)
