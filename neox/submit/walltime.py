"""How long a link runs, and how long before its end the stop signal comes.

The lead is two checkpoints, two steps and 90 s, at least 300 s, so that the save is done when the
scheduler ends the job. It never takes more than a quarter of a link: short links, of which tests
and demonstrations are made, would otherwise be stopped before their first step.
Slurm looks at the signal every 30 s, so it comes up to a minute earlier than asked for
(sbatch(1), --signal).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from neox.sites.profile import Queue
from neox.sites.times import print_time
from neox.submit.job_kind import JobKind
from neox.submit.limits import bin_of
from neox.submit.problem import Problem, Remedy
from neox.submit.request import Request

SHORTEST_LEAD = 300  # seconds
STEPS_WORTH_STARTING = 10


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Estimates; 0 where nothing is known to estimate from."""

    step_seconds: float = 0.0
    save_seconds: float = 0.0


def walltime(request: Request, job: JobKind, queue: Queue, nodes: int) -> int:
    """Seconds: as asked for, else the job kind's, else the queue's default, if the bin allows."""
    if request.seconds is not None:
        return request.seconds
    usual = job.seconds or queue.default_seconds
    limit = bin_of(queue, nodes)
    return min(usual, limit.seconds) if limit else usual


def lead(seconds: int, pace: Pace) -> int:
    """Seconds between the stop signal and the end."""
    wanted = 2 * pace.save_seconds + 2 * pace.step_seconds + 90
    return max(1, min(max(SHORTEST_LEAD, math.ceil(wanted)), seconds // 4))


def startup(nodes: int) -> int:
    """Seconds until the first step, an estimate: 10, and 10 more for each doubling of nodes.

    Python starts from a shared file system, and the ranks meet in trees.
    """
    return 10 + 10 * math.ceil(math.log2(nodes)) if nodes > 1 else 10


def shortest(nodes: int, pace: Pace) -> int:
    """The shortest link that makes sense: start, ten steps, and the lead that belongs to it."""
    work = startup(nodes) + STEPS_WORTH_STARTING * pace.step_seconds
    lead_for_long = max(SHORTEST_LEAD, 2 * pace.save_seconds + 2 * pace.step_seconds + 90)
    # either the lead is whole, or it is a quarter of the link
    needed = work + lead_for_long if work >= 3 * lead_for_long else work * 4 / 3
    return max(60, 60 * math.ceil(needed / 60))


def time_problem(
    request: Request, seconds: int, nodes: int, pace: Pace, more_nodes: Iterable[Remedy] = ()
) -> Problem | None:
    """Less than start-up, ten steps and a save; more time helps, and more nodes do."""
    needed = shortest(nodes, pace)
    if seconds >= needed:
        return None
    longer = Remedy(say=f"--time {_time(needed)}", request=replace(request, seconds=needed))
    parts = [f"start-up {startup(nodes)} s"]
    if pace.step_seconds:
        parts.append(f"{STEPS_WORTH_STARTING} steps of {pace.step_seconds:.0f} s")
    parts.append("the save")
    return Problem(
        about="short",
        text=f"--time {_time(seconds)} leaves no time to train: {', '.join(parts)} (estimates)",
        remedies=([longer], more_nodes),
    )


def save_interval_warning(every: int | None, seconds: int, pace: Pace) -> str | None:
    """A crash loses what was trained since the last save: more than a third of a link is much."""
    if not every or not pace.step_seconds or every * pace.step_seconds <= seconds / 3:
        return None
    better = max(1, int(seconds / 3 / pace.step_seconds))
    return (
        f"checkpoint_factor={every}: about {every * pace.step_seconds / 60:.0f} min between saves "
        f"(estimate) in a link of {_time(seconds)}; a crash would lose it all, "
        f"checkpoint_factor={better} would not"
    )


def _time(seconds: int) -> str:
    return print_time(seconds, "neox")
