"""Where the steps of a trace went: seconds by kind of kernel, and what was idle."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neox.monitor.kernel_kinds import KINDS, Kind, kind_of
from neox.monitor.trace import Activity, Trace, busy

MICROSECONDS = 1e-6


@dataclass(frozen=True, kw_only=True)
class Share:
    kind: Kind
    seconds: float  # of one step
    kernels: float  # of one step
    least: float | None = None  # seconds on the roofline


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of one step, on average."""

    gpu: str
    steps: int
    seconds: float  # from the first kernel to the end of the last
    idle: float  # nothing ran
    hidden: float  # communication while something else ran
    shares: tuple[Share, ...]  # the dearest first
    dearest: tuple[tuple[str, float], ...]  # kernels by name, seconds


def summarise(trace: Trace, least: Mapping[Kind, float] | None = None) -> Summary:
    kinds: dict[Kind, list[Activity]] = defaultdict(list)
    names: dict[str, float] = defaultdict(float)
    for one in trace.activities:
        kinds[kind_of(one.name)].append(one)
        names[one.name] += one.end - one.begin
    each = MICROSECONDS / trace.steps
    shares = [
        Share(
            kind=kind,
            seconds=sum(one.end - one.begin for one in kinds[kind]) * each,
            kernels=len(kinds[kind]) / trace.steps,
            least=None if least is None else least.get(kind),
        )
        for kind in KINDS
        if kind in kinds
    ]
    working = busy(trace.activities)
    silent = busy([one for one in trace.activities if kind_of(one.name) != "communication"])
    communicating = busy(kinds["communication"])
    ten = sorted(names.items(), key=lambda pair: -pair[1])[:10]
    return Summary(
        gpu=trace.gpu,
        steps=trace.steps,
        seconds=trace.span * each,
        idle=(trace.span - working) * each,
        hidden=(silent + communicating - working) * each,
        shares=tuple(sorted(shares, key=lambda share: -share.seconds)),
        dearest=tuple((name, took * each) for name, took in ten),
    )


def table(summary: Summary) -> Iterator[str]:
    """At most 80 columns."""
    steps = f"{summary.steps} step{'s' if summary.steps > 1 else ''}"
    yield f"{summary.gpu}, {steps}, {summary.seconds * 1e3:,.1f} ms a step"
    yield ""
    yield f"{'':18}{'ms':>9}{'share':>8}{'kernels':>9}{'least ms':>10}{'of it':>7}"
    for share in summary.shares:
        least, reached = "", ""
        if share.least:
            least, reached = f"{share.least * 1e3:,.1f}", f"{share.least / share.seconds:.0%}"
        yield (
            f"{share.kind:18}{share.seconds * 1e3:>9,.1f}{share.seconds / summary.seconds:>8.1%}"
            f"{share.kernels:>9,.0f}{least:>10}{reached:>7}"
        )
    yield f"{'idle':18}{summary.idle * 1e3:>9,.1f}{summary.idle / summary.seconds:>8.1%}"
    if summary.hidden > 0:
        yield f"{summary.hidden * 1e3:,.1f} ms of the communication ran beside other kernels"
    least_of_all = sum(share.least or 0.0 for share in summary.shares)
    if least_of_all:
        part = least_of_all / summary.seconds
        yield f"the roofline of all of it is {least_of_all * 1e3:,.1f} ms: {part:.0%} of it"
    yield ""
    yield "the dearest kernels"
    for name, seconds in summary.dearest:
        yield f"{seconds * 1e3:>9,.2f} ms  {_short(name)}"


def _short(name: str) -> str:
    plain = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    return plain if len(plain) <= 66 else f"{plain[:65]}…"
