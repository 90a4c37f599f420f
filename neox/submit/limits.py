"""A site's rules for what may be asked: queues, their bins of nodes and time, accounts, chains."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from neox.sites.profile import Bin, Caps, Profile, Queue
from neox.sites.times import print_time
from neox.submit.evidence import source_of
from neox.submit.geometry import Division, fitting_nodes
from neox.submit.job_kind import JobKind
from neox.submit.problem import Problem, Remedy
from neox.submit.request import Request


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a queue."""

    request: Request
    nodes: int
    seconds: int
    division: Division | None  # None: any node count fits the job
    ranks_per_node: int


def choose_queue(site: Profile, name: str | None) -> Queue | Problem:
    """The queue of that name, else the site's default one."""
    if name is None:
        return next((queue for queue in site.queues if queue.default), site.queues[0])
    for queue in site.queues:
        if queue.name == name:
            return queue
    names = ", ".join(queue.name for queue in site.queues)
    text = f"--queue {name}: {site.name} has no such queue; use {names}"
    return Problem(about="queue", text=text)


def account_problem(site: Profile, queue: Queue, account: str | None) -> Problem | None:
    rule = queue.account or site.account
    place = f"queues.{queue.name}.account" if queue.account else "account"
    whose = f"{site.name}/{queue.name}" if queue.account else site.name
    example = rule.example or "NAME"
    source = source_of(site, f"{place}.pattern")
    if account is None:
        if not rule.required:
            return None
        text = f"{site.name} charges every job to an account; use --account {example}"
    elif rule.pattern and not re.fullmatch(rule.pattern, account):
        text = (
            f"--account {account} is no account of {whose}, whose names match "
            f"{rule.pattern} ({source}); use one like {example}"
        )
    else:
        return None
    return Problem(about="account", text=text)


# --- nodes and time ----------------------------------------------------------------------------


def bin_of(queue: Queue, nodes: int) -> Bin | None:
    return next((entry for entry in queue.bins if entry.low <= nodes <= entry.high), None)


def bin_problem(site: Profile, queue: Queue, asked: Asked) -> Problem | None:
    """Too many nodes for the queue, or too much time for that many."""
    if not queue.bins:
        return None
    found = bin_of(queue, asked.nodes)
    if found is None:
        return _nodes_problem(site, queue, asked)
    if asked.seconds > found.seconds:
        return _time_problem(site, queue, asked, found)
    return None


def _nodes_problem(site: Profile, queue: Queue, asked: Asked) -> Problem:
    ranges = ", ".join(_range(entry) for entry in queue.bins)
    below = [entry.high for entry in queue.bins if entry.high < asked.nodes]
    above = [entry.low for entry in queue.bins if entry.low > asked.nodes]
    ways: list[Iterator[Remedy]] = []
    if below:
        ways.append(_node_ways(asked, range(max(below), 0, -1)))
    if above:
        ways.append(_node_ways(asked, range(min(above), max(e.high for e in queue.bins) + 1)))
    return Problem(
        about="nodes",
        text=(
            f"{asked.nodes} nodes: {site.name}/{queue.name} takes {ranges} nodes "
            f"({_source(site, queue)})"
        ),
        remedies=(*ways, _queue_ways(site, queue, asked)),
    )


def _time_problem(site: Profile, queue: Queue, asked: Asked, found: Bin) -> Problem:
    longer = [entry for entry in queue.bins if entry.seconds >= asked.seconds]
    ways = (
        _time_ways(asked, found.seconds),
        *(_node_ways(asked, range(entry.low, entry.high + 1)) for entry in longer[:1]),
        _queue_ways(site, queue, asked),
    )
    return Problem(
        about="time",
        text=(
            f"{asked.nodes} nodes for {_time(asked.seconds)} exceeds {_time(found.seconds)} on "
            f"{site.name}/{queue.name} ({_range(found)} nodes; {_source(site, queue)})"
        ),
        remedies=ways,
    )


def _time_ways(asked: Asked, limit: int) -> Iterator[Remedy]:
    """The longest link allowed, as often as it takes; else once."""
    links = -(-asked.seconds // limit)
    short = replace(asked.request, seconds=limit)
    yield Remedy(say=f"--time {_time(limit)} --chain {links}", request=replace(short, chain=links))
    yield Remedy(say=f"--time {_time(limit)}", request=short)


def _node_ways(asked: Asked, candidates: range) -> Iterator[Remedy]:
    counts: Iterator[int] = iter(candidates[:1])
    if asked.division:
        counts = fitting_nodes(asked.division, asked.ranks_per_node, candidates)
    for nodes in counts:
        yield Remedy(say=f"--nodes {nodes}", request=replace(asked.request, nodes=nodes))


def _queue_ways(site: Profile, queue: Queue, asked: Asked) -> Iterator[Remedy]:
    for other in site.queues:
        if other is not queue:
            request = replace(asked.request, queue=other.name)
            yield Remedy(say=f"--queue {other.name}", request=request)


def _range(entry: Bin) -> str:
    return f"{entry.low}-{entry.high}" if entry.low < entry.high else str(entry.low)


def _time(seconds: int) -> str:
    return print_time(seconds, "neox")


def _source(site: Profile, queue: Queue) -> str:
    return source_of(site, f"queues.{queue.name}.bins")


# --- chains ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Chain:
    wanted: int
    now: int  # submitted at once; the others when there is room
    warning: str | None = None


def chain_of(site: Profile, queue: Queue, wanted: int) -> Chain:
    """As many links at once as the queue lets one person hold in it."""
    caps = [cap for cap in _caps(queue) if cap is not None]
    now = min([wanted, *caps])
    if now == wanted:
        return Chain(wanted=wanted, now=wanted)
    warning = (
        f"--chain {wanted}: {site.name}/{queue.name} holds {now} jobs of yours at once "
        f"({source_of(site, f'queues.{queue.name}')}); {now} are submitted now, and "
        f"`neox-submit chain RUN` adds more as they end"
    )
    return Chain(wanted=wanted, now=now, warning=warning)


def chain_problem(site: Profile, queue: Queue, job: JobKind, request: Request) -> Problem | None:
    wanted = 1 if request.chain is None else request.chain
    if wanted < 1:
        return Problem(about="chain", text=f"--chain {wanted}: a chain has at least one link")
    if wanted == 1:
        return None
    most = site.policy.max_chain
    if most is not None and wanted > most:
        text = f"--chain {wanted}: {site.name} allows {most} links (policy.max_chain)"
        fewer = iter([Remedy(say=f"--chain {most}", request=replace(request, chain=most))])
        return Problem(about="chain", text=text, remedies=(fewer,))
    one = iter([Remedy(say="--chain 1", request=replace(request, chain=1))])
    if not job.chain:
        text = f"--chain {wanted}: a {job.name} job is one link"
        return Problem(about="chain", text=text, remedies=(one,))
    if not queue.chain:
        source = source_of(site, f"queues.{queue.name}.chain")
        text = f"--chain {wanted}: {site.name}/{queue.name} forbids chained jobs ({source})"
        others = (other for other in site.queues if other.chain)
        ways = (
            Remedy(say=f"--queue {other.name}", request=replace(request, queue=other.name))
            for other in others
        )
        return Problem(about="chain", text=text, remedies=(one, ways))
    return None


def _caps(queue: Queue) -> tuple[int | None, ...]:
    """Every limit that also counts jobs which wait for another one.

    `eligible` and `running` do not: a link that waits for the one before it is neither.
    """
    scopes: tuple[Caps, ...] = (queue.per_user, queue.total)
    return tuple(cap for scope in scopes for cap in (scope.queued, scope.any))
