"""From a site, a job kind, a config and a request to the plan, or to all that is wrong with it."""

import re
from dataclasses import replace
from pathlib import Path

from neox.config.given import Given
from neox.config.places import ConfigErrors
from neox.config.spec import not_yet
from neox.plugins import PluginError
from neox.run.paths import RunPaths
from neox.sites.profile import Profile, Queue
from neox.submit.agreeing import node_hours
from neox.submit.case import Case, base_config
from neox.submit.cost import cost_of
from neox.submit.job_kind import JobKind
from neox.submit.origin import site_origin
from neox.submit.plan import Directive, Entry, Plan, Staging
from neox.submit.problem import PlanError, Problem, told
from neox.submit.profiling import question as profiler_question
from neox.submit.quoting import QuotingError
from neox.submit.request import Request
from neox.submit.run_area import area_warnings, quota_warning, run_root, save_interval
from neox.submit.schedulers import scheduler
from neox.submit.schedulers.scheduler import Headed, JobParts
from neox.submit.sizing import Sized, size
from neox.submit.staging import stage_warning, staging
from neox.submit.walltime import save_interval_warning
from neox.submit.watch import watch_limits

_PLACEHOLDER = re.compile(r"\{[a-z]+\}")  # of an entry's word


def make_plan(site: Profile, job: JobKind, given: Given, request: Request) -> Plan:
    """Everything about a job that can be known before it is queued.

    A pure function. Raises PlanError with all problems at once; each says what, where, why and
    what to type instead, and what it suggests was tried by these same checks.
    """
    try:
        speaks = scheduler(site.scheduler.kind)
        base = base_config(job, given, request)
    except PluginError as error:
        raise PlanError([f"{site.name}: {error}"]) from None
    except ConfigErrors as errors:
        raise PlanError(str(problem) for problem in errors.problems) from None
    _require_compiler(site, job)
    _require_cuda(site, job)
    case = Case(site=site, job=job, given=given, base=base)
    sized = size(case, request)
    if not isinstance(sized, Sized):
        raise told(sized, lambda other: _abouts(size(case, other)))
    return _plan(case, request, sized, speaks)


def _abouts(outcome: Sized | list[Problem]) -> set[str]:
    return set() if isinstance(outcome, Sized) else {problem.about for problem in outcome}


def _plan(case: Case, request: Request, sized: Sized, speaks: Headed) -> Plan:
    site, job = case.site, case.job
    root = run_root(request)
    return Plan(
        request=request,
        site=site,
        job=job,
        config=sized.config,
        queue=sized.queue,
        node_type=sized.node,
        nodes=sized.nodes,
        seconds=sized.seconds,
        lead_seconds=sized.lead_seconds,
        chain=sized.chain.now,
        chain_wanted=sized.chain.wanted,
        account=request.account,
        run=RunPaths(root),
        layout=sized.places,
        geometry=sized.geometry,
        entry=_entry(site, job, root),
        launch=sized.launch,
        preflight=sized.preflight,
        stage=_stage(case, request, sized),
        spare_nodes=request.spare_nodes,
        directives=_directives(case, request, sized, speaks),
        variables=sized.around.variables,
        rank_variables=sized.around.rank_variables,
        unset=sized.around.unset,
        master=site.launcher.master,
        hosts=(request.hosts or site.launcher.hosts)[: sized.nodes + request.spare_nodes],
        python=sized.python,
        container=sized.container.rank,
        job_container=sized.container.job,
        cost=cost_of(site.cost, sized.nodes + request.spare_nodes, sized.seconds),
        warnings=_warnings(case, request, sized),
        questions=_questions(site, sized),
        not_yet=not_yet(sized.config) if sized.geometry else (),
        watch=watch_limits(sized.nodes, sized.pace) if job.signal else None,
        step_seconds=sized.pace.step_seconds or None,
        checkpoint_bytes=sized.checkpoint_bytes,
        profile=sized.profile,
        waits_for=sized.waits_for,
    )


def _require_compiler(site: Profile, job: JobKind) -> None:
    if job.needs.compiler and (site.toolchain.cc is None or not site.toolchain.arch):
        raise PlanError(
            [
                f"{site.name} names no compiler and architectures in [toolchain]: there is nothing "
                "to build, and the torch references run there"
            ]
        )


def _require_cuda(site: Profile, job: JobKind) -> None:
    if job.needs.cuda and site.toolchain.kind == "rocm":
        raise PlanError(
            [
                f"{site.name} has no NVIDIA GPUs, and job {job.name} is for those; on ROCm torch "
                "tunes for itself, where a job has PYTORCH_TUNABLEOP_ENABLED=1"
            ]
        )


def _entry(site: Profile, job: JobKind, root: Path) -> Entry:
    known = {
        "{run}": str(root),
        "{cc}": site.toolchain.cc or "",
        "{arch}": ",".join(site.toolchain.arch),
    }
    argv = tuple(_PLACEHOLDER.sub(lambda m: known.get(m[0], m[0]), word) for word in job.entry)
    match job.ranks:
        case "per-gpu":
            return Entry(argv=argv, per="gpu")
        case "per-node":
            return Entry(argv=argv, per="node")
        case "one":
            return Entry(argv=argv, per="one")


def _directives(
    case: Case, request: Request, sized: Sized, speaks: Headed
) -> tuple[Directive, ...]:
    warned = case.job.signal and case.site.signal.how == "scheduler"
    root = run_root(request)
    parts = JobParts(
        site=case.site,
        queue=_with_disk(sized.queue, _stage(case, request, sized)),
        node=sized.node,
        name=root.name,
        account=request.account,
        account_origin="--account",
        nodes=sized.nodes + request.spare_nodes,
        ranks_per_node=len(sized.places),
        cores_per_rank=len(sized.places[0].cores),
        use_gpus=sized.use_gpus,
        seconds=sized.seconds,
        seconds_origin=_time_origin(case, request, sized),
        lead_seconds=sized.lead_seconds if warned else None,
        logs=RunPaths(root).logs,
        extra=request.directives,
    )
    try:
        return speaks.directives(parts)
    except QuotingError as error:
        raise PlanError([str(error)]) from None


def _stage(case: Case, request: Request, sized: Sized) -> Staging | None:
    return staging(case.site, request, sized.nodes, sized.names, sized.preflight)


def _with_disk(queue: Queue, stage: Staging | None) -> Queue:
    """Asking also for the nodes that have the disk."""
    if stage is None or stage.needs is None or stage.needs in queue.features:
        return queue
    return replace(queue, features=(*queue.features, stage.needs))


def _time_origin(case: Case, request: Request, sized: Sized) -> str:
    if request.seconds is not None:
        return "--time"
    if case.job.seconds:
        return f"job kind {case.job.name}"
    return site_origin(case.site, f"queues.{sized.queue.name}.default_time").text


def _warnings(case: Case, request: Request, sized: Sized) -> tuple[str, ...]:
    root = run_root(request)
    found: list[str | None] = [*case.given.warnings, *sized.warnings, sized.chain.warning]
    found += area_warnings(case.site, root, request.home, sized.names)
    if sized.geometry:
        every = save_interval(sized.config)
        found.append(save_interval_warning(every, sized.seconds, sized.pace))
    if sized.checkpoint_bytes:
        found.append(
            quota_warning(case.site, root, sized.names, sized.config, sized.checkpoint_bytes)
        )
    staged = _stage(case, request, sized)
    found.append(stage_warning(case.site, sized.nodes, sized.python, staged))
    found += [_dear_warning(case.site, request, sized)]
    return tuple(dict.fromkeys(line for line in found if line))


def _dear_warning(site: Profile, request: Request, sized: Sized) -> str | None:
    hours = node_hours(sized.nodes + request.spare_nodes, sized.seconds, request.chain or 1)
    limit = site.policy.confirm_node_hours
    if hours <= limit:
        return None
    return f"{hours:,.0f} node-hours: more than the {limit:,.0f} above which one agrees twice"


def _questions(site: Profile, sized: Sized) -> tuple[str, ...]:
    """What the profile marks as unknown, for the person who may know."""
    unknown = (fact for fact in site.facts.values() if fact.question)
    asked = profiler_question(site, sized.profile)
    own = (asked,) if asked else ()
    return tuple(dict.fromkeys((*own, *(str(fact.question) for fact in unknown))))
