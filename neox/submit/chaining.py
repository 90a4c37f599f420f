"""How many links a training needs, and what other times and node counts would take.

A link starts up, trains, and is asked to stop a lead before its end. All figures are expected
ones: from a measured or given step time where there is one, else from the estimate.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from neox.sites.profile import Queue
from neox.submit.walltime import Pace, lead, startup

LONGEST = 24 * 3600  # of a link where the queue states no limit
ROUND = 300  # a link is asked for in whole five minutes
SPARE = 1.1  # a last link has a tenth more than it is expected to need


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is left to train, on a number of nodes."""

    steps: int
    pace: Pace
    save_every: int | None  # steps

    @property
    def seconds(self) -> float:
        """Of all steps that are left, with the saves between them."""
        saves = self.steps // self.save_every if self.save_every else 0
        return self.steps * self.pace.step_seconds + saves * self.pace.save_seconds


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """One way to get the work done."""

    nodes: int
    seconds: int  # walltime of a link
    links: int
    node_hours: float  # expected; the last link ends early


def longest(queue: Queue, nodes: int) -> int | None:
    """The longest link of so many nodes; None where the queue takes no such job."""
    if not queue.bins:
        return LONGEST
    return next((b.seconds for b in queue.bins if b.low <= nodes <= b.high), None)


def best_time(work: Work, nodes: int, limit: int) -> int:
    """As few links as can be, and none longer than it is expected to need."""
    alone = work.seconds + startup(nodes) + work.pace.save_seconds
    wanted = max(alone * SPARE, alone + 2 * work.pace.save_seconds)
    # the lead takes a quarter of a short link, and its full length of a long one
    while wanted - lead(int(wanted), work.pace) < alone and wanted < limit:
        wanted += ROUND
    return min(limit, ROUND * math.ceil(wanted / ROUND))


def alternative(work: Work, nodes: int, seconds: int) -> Alternative | None:
    """The links of `seconds` that the work takes; None where a link would train nothing."""
    useful = seconds - lead(seconds, work.pace) - startup(nodes)
    if useful < max(1.0, work.pace.step_seconds):
        return None
    links = max(1, math.ceil(work.seconds / useful))
    total = work.seconds + links * (startup(nodes) + work.pace.save_seconds)
    return Alternative(nodes=nodes, seconds=seconds, links=links, node_hours=nodes * total / 3600)


def alternatives(
    works: Iterable[tuple[int, Work]], queue: Queue, times: Iterable[int]
) -> tuple[Alternative, ...]:
    """For each node count its best time, and the shorter ones of `times`; fewest links first."""
    also = tuple(times)
    found: dict[tuple[int, int], Alternative] = {}
    for nodes, work in works:
        for one in _of_nodes(work, nodes, queue, also):
            found[one.nodes, one.seconds] = one
    return tuple(sorted(found.values(), key=lambda a: (a.nodes, a.links, a.seconds)))


def _of_nodes(
    work: Work, nodes: int, queue: Queue, times: tuple[int, ...]
) -> Iterator[Alternative]:
    limit = longest(queue, nodes)
    if limit is None:
        return
    best = best_time(work, nodes, limit)
    for seconds in sorted({best, *(time for time in times if time < best)}):
        made = alternative(work, nodes, seconds)
        if made is not None:
            yield made
