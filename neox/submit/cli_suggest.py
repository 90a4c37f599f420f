"""`neox-submit suggest --site SITE --nodes N CONFIG...`: geometries that fit, best first."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neox.config.given import Given
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.config.vocabulary import with_vocabulary
from neox.content import shelf
from neox.run.exit_codes import ExitCode
from neox.sites.load import load_site
from neox.sites.machine import on_machine
from neox.sites.profile import Profile
from neox.submit.case import base_config
from neox.submit.cli_output import print_json
from neox.submit.codec import encode
from neox.submit.edge import Surroundings
from neox.submit.job_kind import JobKind
from neox.submit.jobs import load_job
from neox.submit.limits import choose_queue
from neox.submit.plan import Plan
from neox.submit.planning import make_plan
from neox.submit.problem import PlanError, Problem
from neox.submit.refusal import UsageError
from neox.submit.request import Request
from neox.submit.suggest import LINK_GB, Machine, Suggestion, overrides, suggestions

SHOWN = 12
ENGINE_LACKS = ("pipe_parallel_size", "model_parallel_size")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A suggestion that the plan accepts as it stands."""

    suggestion: Suggestion
    overrides: tuple[str, ...]
    runs: bool  # False: the engine lacks what it needs


def suggest(request: Request, around: Surroundings, *, as_json: bool) -> int:
    """Print them. Raises PlanError where none fits, with what stands in the way."""
    if not request.configs:
        raise UsageError("suggest for which config? neox-submit suggest --site SITE CONFIG...")
    site = load_site(request.site, shelf("sites", environ=around.environ, cwd=around.cwd))
    job = load_job(request.job, shelf("jobs", environ=around.environ, cwd=around.cwd))
    checked = _checked(site, job, request)
    if as_json:
        print_json({"suggestions": [encode(one) for one in checked]})
    else:
        print("\n".join(_page(site, request, checked)))
    return ExitCode.DONE


def _checked(site: Profile, job: JobKind, request: Request) -> list[Checked]:
    machine, config = _machine_and_config(site, job, request)
    found: list[Checked] = []
    refusals: list[PlanError] = []
    for one in suggestions(config, model_spec(config), machine):
        words = overrides(config, one.cut)
        try:
            plan = _planned(site, job, request, words)
        except PlanError as error:
            refusals.append(error)
            continue
        lacks = any(line.startswith(ENGINE_LACKS) for line in plan.not_yet)
        found.append(Checked(suggestion=one, overrides=words, runs=not lacks))
        if len(found) == SHOWN:
            break
    if not found and refusals:
        raise refusals[0]
    if not found:
        raise PlanError([_nothing(machine, config)])
    return found


def _machine_and_config(site: Profile, job: JobKind, request: Request) -> tuple[Machine, RunConfig]:
    queue = choose_queue(site, request.queue)
    if isinstance(queue, Problem):
        raise PlanError([queue.text])
    node = on_machine(site.node_type(queue.node_type), request.machine_cores)
    if node.gpu is None:
        raise PlanError([f"{site.name}/{queue.name} has no GPUs to divide a model over"])
    try:
        config = base_config(job, _given(job, request), request)
        model_spec(config)
    except ConfigErrors as errors:
        raise PlanError(str(problem) for problem in errors.problems) from None
    machine = Machine(
        site=site,
        node=node,
        nodes=request.nodes or 1,
        ranks_per_node=config.launch.num_gpus or node.gpus,
    )
    return machine, config


def _planned(site: Profile, job: JobKind, request: Request, words: Sequence[str]) -> Plan:
    other = dataclasses.replace(request, overrides=(*request.overrides, *words))
    return make_plan(site, job, _given(job, other), other)


def _given(job: JobKind, request: Request) -> Given:
    given = load(request.configs, request.overrides, job.config, f"jobs/{job.name}.toml")
    return with_vocabulary(given)


def _nothing(machine: Machine, config: RunConfig) -> str:
    recomputes = config.recompute.checkpoint_activations
    also = "" if recomputes else ", or checkpoint_activations=true"
    return (
        f"no geometry on {_several(machine.nodes)} of {machine.site.name} both divides the batch "
        f"and fits into the GPUs' memory; give more --nodes{also}"
    )


def _page(site: Profile, request: Request, checked: Sequence[Checked]) -> Iterator[str]:
    yield f"{_several(request.nodes or 1)} of {site.title}; times are estimates, best first"
    yield ""
    row = "  {:>2} {:>2} {:>4} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>8}"
    yield row.format(
        "pp", "tp", "dp", "micro", "accum", "GB/GPU", "bubble", "node s", "fabric", "s/step"
    ).rstrip()
    for one in checked:
        cut, rated = one.suggestion.cut, one.suggestion
        cells = (cut.pipeline, cut.tensor, cut.data, cut.micro_batch, cut.accumulation)
        numbers = (f"{rated.memory_gb:.1f}", f"{rated.bubble:.1%}", f"{rated.node_seconds:.2f}")
        times = (f"{rated.fabric_seconds:.2f}", f"{rated.step_seconds:.3g}")
        yield row.format(*cells, *numbers, *times) + ("" if one.runs else " *")
    yield ""
    yield "s/step = arithmetic x (1 + (pp - 1) / accum) + node + fabric, no overlap;"
    yield f"node at {LINK_GB:g} GB/s a link, fabric {_fabric(site)}"
    if not all(one.runs for one in checked):
        yield "* the engine cannot run this yet: it has no pipeline stages or tensor ranks"
    best = next((one for one in checked if one.runs), checked[0])
    yield ""
    yield "best that runs:" if best.runs else "best:"
    yield from (f"  {word}" for word in best.overrides)


def _fabric(site: Profile) -> str:
    speed = site.network.gb_per_second_per_node
    return f"at {speed:g} GB/s a node" if speed else "not counted: its speed is not known"


def _several(nodes: int) -> str:
    return f"{nodes} node" if nodes == 1 else f"{nodes} nodes"
