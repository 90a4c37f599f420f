"""`--chain auto`: as many links as the steps left take, with a table of other ways."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neox.run.paths import RunPaths, newest_step
from neox.sites.times import print_time
from neox.submit.chaining import Alternative, Work, alternative, alternatives, best_time, longest
from neox.submit.geometry import division, fitting_nodes
from neox.submit.manifest import read_manifest
from neox.submit.plan import Plan
from neox.submit.preparing import Prepared
from neox.submit.problem import PlanError
from neox.submit.progress import last_lines
from neox.submit.refusal import RunDirectoryError
from neox.submit.run_area import save_interval
from neox.submit.walltime import Pace

STEPS_AVERAGED = 100
FARTHEST = 16  # times as many nodes that a table still shows


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds of a step on the plan's nodes, and how they are known."""

    seconds: float
    source: str  # "--seconds-per-step", "measured", "estimate"


@dataclass(frozen=True, kw_only=True)
class AutoChain:
    prepared: Prepared  # with the recommended time and links
    table: str


def auto_chain(prepared: Prepared, *, given_step: float | None, goes_on: bool) -> AutoChain:
    """Plan the links for the steps that are left. Raises PlanError where that cannot be known."""
    plan = prepared.plan
    total = plan.config.training.train_iters
    if not plan.job.chain or plan.geometry is None or total is None:
        raise PlanError([f"--chain auto: a {plan.job.name} job is one link; leave --chain out"])
    left = total - (saved_step(plan) if goes_on else 0)
    if left <= 0:
        raise PlanError([f"--chain auto: all {total:,} steps of {plan.run.root} are trained"])
    step = _step_time(plan, given_step, goes_on)
    work = _work(plan, left, step.seconds)
    chosen = _chosen(plan, work)
    others = alternatives(_works(plan, work), plan.queue, ())
    again = prepared.again(seconds=chosen.seconds, chain=chosen.links)
    return AutoChain(prepared=again, table="\n".join(_table(plan, left, step, chosen, others)))


def saved_step(plan: Plan) -> int:
    """The step of the newest published checkpoint of the run; 0 where there is none."""
    folder = plan.config.checkpoint.save
    root = Path(folder) if folder else plan.run.checkpoints
    return newest_step(plan.request.cwd / root) or 0


def measured_step(run: RunPaths, tokens: int, nodes: int) -> float | None:
    """Seconds of a step by the run's own log, as if speed grew with its number of nodes."""
    speeds = [event.get("tokens_per_second") for event in last_lines(run.events)]
    known = [float(s) for s in speeds if isinstance(s, int | float) and s > 0][-STEPS_AVERAGED:]
    try:
        then = read_manifest(run).request.nodes or 1
    except RunDirectoryError:
        return None
    return tokens / statistics.median(known) * then / nodes if known else None


def _step_time(plan: Plan, given: float | None, goes_on: bool) -> StepTime:
    assert plan.geometry is not None
    tokens = plan.geometry.global_batch * (plan.config.model.seq_length or 0)
    measured = measured_step(plan.run, tokens, plan.nodes) if goes_on else None
    if measured is not None:
        return StepTime(seconds=measured, source="measured in this run")
    if given is not None:
        return StepTime(seconds=given, source="--seconds-per-step")
    if plan.step_seconds:
        return StepTime(seconds=plan.step_seconds, source="an estimate: measure it before you pay")
    raise PlanError(
        ["--chain auto: how long a step takes is not known here; give --seconds-per-step SECONDS"]
    )


def _work(plan: Plan, steps: int, step_seconds: float) -> Work:
    from neox.submit.estimate import WRITE_BYTES_PER_NODE  # noqa: PLC0415

    save = (plan.checkpoint_bytes or 0) / (plan.nodes * WRITE_BYTES_PER_NODE)
    return Work(
        steps=steps,
        pace=Pace(step_seconds=step_seconds, save_seconds=save),
        save_every=save_interval(plan.config),
    )


def _chosen(plan: Plan, work: Work) -> Alternative:
    limit = longest(plan.queue, plan.nodes)
    assert limit is not None, "the plan was checked against the queue"
    asked = plan.request.seconds
    made = alternative(work, plan.nodes, asked or best_time(work, plan.nodes, limit))
    if made is None:
        raise PlanError(
            [f"--chain auto: a link of {_time(asked or limit)} ends before its first step"]
        )
    most = plan.site.policy.max_chain
    if most is not None and made.links > most:
        raise PlanError(
            [
                f"--chain auto: {made.links} links of {_time(made.seconds)} on "
                f"{_several(plan.nodes)}, and {plan.site.name} allows a chain of "
                f"{most} (policy.max_chain); more --nodes need fewer, and --chain {most} begins it"
            ]
        )
    return made


def _works(plan: Plan, work: Work) -> Iterator[tuple[int, Work]]:
    """The work on this many nodes, and on others that the model and the batch fit."""
    for nodes in sorted(_node_counts(plan)):
        share = plan.nodes / nodes
        pace = Pace(
            step_seconds=work.pace.step_seconds * share,
            save_seconds=work.pace.save_seconds * share,
        )
        yield nodes, replace(work, pace=pace)


def _node_counts(plan: Plan) -> set[int]:
    """Half, twice and four times as many, and the first of each larger bin of the queue."""
    parts, each = division(plan.config), plan.ranks_per_node
    wanted = [range(n, 2 * n) for n in (max(1, plan.nodes // 2), 2 * plan.nodes, 4 * plan.nodes)]
    near = (b for b in plan.queue.bins if plan.nodes < b.low <= FARTHEST * plan.nodes)
    wanted += [range(b.low, b.high + 1) for b in near]
    allowed = (span for span in wanted if longest(plan.queue, span[0]) is not None)
    found = (next(fitting_nodes(parts, each, span, most=1), plan.nodes) for span in allowed)
    return {plan.nodes, *found}


def _table(
    plan: Plan, left: int, step: StepTime, chosen: Alternative, others: Sequence[Alternative]
) -> Iterator[str]:
    yield f"{left:,} steps left x {step.seconds:.3g} s on {_several(plan.nodes)} ({step.source})"
    row = "  {:>6}  {:>12}  {:>6}  {:>20}"
    yield row.format("nodes", "time", "links", "expected node-hours")
    listed = {(a.nodes, a.seconds): a for a in (*others, chosen)}
    for one in sorted(listed.values(), key=lambda a: (a.nodes, -a.seconds)):
        cells = (one.nodes, _time(one.seconds), one.links, f"{one.node_hours:,.4g}")
        yield row.format(*cells) + ("  <- this plan" if one == chosen else "")
    yield "other node counts as if speed grew with them; a link starts, trains, saves\n"


def _time(seconds: int) -> str:
    return print_time(seconds, "neox")


def _several(nodes: int) -> str:
    return f"{nodes} node" if nodes == 1 else f"{nodes} nodes"
