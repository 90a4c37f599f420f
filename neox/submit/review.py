"""What a person reads before pressing return: the whole job on one page of 80 columns.

Figures are the plan's own; what is estimated says so, and what is not known is left out.
"""

import textwrap
from collections.abc import Iterator, Sequence

from neox.config.derive import origin_of
from neox.config.spec import model_spec
from neox.models.count import parameters
from neox.sites.ranges import print_cores
from neox.sites.times import print_time
from neox.submit.demands import memory_lines, network_lines
from neox.submit.evidence import source_of
from neox.submit.plan import Plan
from neox.submit.profiling_review import profile_lines

WIDTH = 80
LABEL = 12  # columns in front of a row's text
RANKS_SHOWN = 8  # a node's table folds beyond it
GIGA = 1e9


def review(plan: Plan) -> str:
    """The summary, ending with a newline."""
    rows: list[str] = [*textwrap.wrap(heading(plan), WIDTH), ""]
    for label, texts in figures(plan):
        rows += _row(label, texts)
    rows += ["", *_node(plan)]
    for label, notes in (
        ("warning", plan.warnings),
        ("not yet", plan.not_yet),
        ("asks you", plan.questions),
    ):
        rows += _notes(label, notes)
    if plan.refusal:
        rows += ["", *_row("refused", [plan.refusal])]
    rows += ["", *_row("written", _written(plan))]
    return "\n".join(rows) + "\n"


def figures(plan: Plan) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The summary's labels and their lines, not wrapped."""
    rows = (
        ("what", _what(plan)),
        ("where", _where(plan)),
        ("geometry", _geometry(plan)),
        ("memory", memory_lines(plan)),
        ("network", network_lines(plan)),
        ("time", _time(plan)),
        ("saves", _saves(plan)),
        ("chain", _chain(plan)),
        ("profile", profile_lines(plan)),
        ("cost", _cost(plan)),
    )
    return tuple((label, tuple(texts)) for label, texts in rows)


def heading(plan: Plan) -> str:
    """ "20B on OLCF Frontier (documented, facts read 2026-07-22)"."""
    dates = sorted({fact.read for fact in plan.site.facts.values() if fact.read})
    read = f", facts read {dates[0]}" if dates else ""
    return f"{plan.run.name} on {plan.site.title} ({plan.site.status}{read})"


def _what(plan: Plan) -> Iterator[str]:
    files = " ".join(map(str, plan.request.configs))
    if not plan.geometry:
        yield f"{plan.job.title}; {files}" if files else plan.job.title
        return
    yield f"{plan.job.title}: {_parameters(plan)}; {files}"
    steps, length = plan.config.training.train_iters, plan.config.model.seq_length
    if steps is not None and length is not None:
        tokens = plan.geometry.global_batch * length
        yield f"{steps:,} steps x {_count(tokens)} tokens = {_count(steps * tokens)} tokens"


def _parameters(plan: Plan) -> str:
    if plan.config.tokenizer.padded_vocab_size is None:
        return "parameters not counted, because vocab_size is not known here"
    return f"{_count(parameters(model_spec(plan.config)).total)} parameters"


def _where(plan: Plan) -> Iterator[str]:
    queue = plan.queue
    gpu = plan.node_type.gpu if any(place.gpu is not None for place in plan.layout) else None
    nodes, ranks = _several(plan.nodes, "node"), _several(plan.ranks, "rank")
    each = f"{plan.ranks_per_node} x {gpu.kind}" if gpu else f"{plan.ranks_per_node} on CPU"
    yield f"{queue.name}, {nodes} x {each} = {ranks}, {print_time(plan.seconds)}"
    for bin_ in queue.bins:
        if bin_.low <= plan.nodes <= bin_.high:
            limit = f"{bin_.low}-{bin_.high} nodes: {print_time(bin_.seconds)}"
            yield f"limit {limit}{_source(plan)}"


def _source(plan: Plan) -> str:
    source = source_of(plan.site, f"queues.{plan.queue.name}.bins")
    return f" {source}" if source else ""


def _geometry(plan: Plan) -> Iterator[str]:
    cut = plan.geometry
    if cut is None:
        return
    yield f"tensor {cut.tensor} x pipeline {cut.pipeline} x data {cut.data}"
    yield (
        f"micro batch {cut.micro_batch} x accumulation {cut.accumulation} x {cut.data} "
        f"= {cut.global_batch:,} samples a step{_batch_origin(plan)}"
    )


def _batch_origin(plan: Plan) -> str:
    origin = origin_of(plan.config, "train_batch_size")
    return f" (pinned by {origin})" if origin.kind == "given" else ""


def _time(plan: Plan) -> Iterator[str]:
    lead = print_time(plan.lead_seconds)
    if plan.job.signal:
        yield f"asked to stop and save {lead} before the end"
    if plan.step_seconds:
        steps = int((plan.seconds - plan.lead_seconds) / plan.step_seconds)
        yield f"estimate: {plan.step_seconds:.3g} s a step, at most {steps:,} steps a link"


def _saves(plan: Plan) -> Iterator[str]:
    if plan.checkpoint_bytes is None or not plan.geometry:
        return
    settings = plan.config.checkpoint
    every = settings.checkpoint_factor
    when = f"every {every:,} steps and at a stop" if every else "at a stop and at the end"
    yield f"{when}, {_bytes(plan.checkpoint_bytes)} each"
    kept = settings.keep_last_n_checkpoints
    if kept:
        yield f"{kept} kept: {_bytes(kept * plan.checkpoint_bytes)}"


def _chain(plan: Plan) -> Iterator[str]:
    if plan.waits_for:
        jobs = "job" if len(plan.waits_for) == 1 else "jobs"
        yield f"the first link starts when {jobs} {', '.join(plan.waits_for)} ended, in any way"
    if not plan.job.chain:
        return
    links = _several(plan.chain, "link")
    yield f"{links}, each after the one before it" if plan.chain > 1 else links
    if plan.chain_wanted > plan.chain:
        rest = plan.chain_wanted - plan.chain
        yield f"{rest} more later: neox-submit chain {plan.run.root}"


def _cost(plan: Plan) -> Iterator[str]:
    cost = plan.cost
    yield f"{cost.amount:,.4g} {cost.unit} a link ({cost.formula})"
    if plan.chain > 1:
        yield f"{cost.amount * plan.chain:,.4g} {cost.unit} for {plan.chain} links"


def _node(plan: Plan) -> Iterator[str]:
    """Rank, GPU and cores of one node; all nodes are alike."""
    bound = plan.site.launcher.binding != "none"
    shown = plan.layout if len(plan.layout) <= RANKS_SHOWN else plan.layout[: RANKS_SHOWN - 1]
    rows = [["rank", *(str(place.local_rank) for place in shown)]]
    if any(place.gpu is not None for place in shown):
        rows.append(["GPU", *(str(place.gpu) for place in shown)])
    if bound:
        rows.append(["cores", *(print_cores(place.cores) for place in shown)])
    folded = len(plan.layout) - len(shown)
    if folded:
        rows[0].append(f"... {folded} more")
    if len(rows) > 1:
        yield from _table(rows)
    if plan.node_type.reserved and bound:
        yield from _row("", [f"cores {print_cores(plan.node_type.reserved)} are kept free"])


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns under each other, in as many pieces as the page's width needs."""
    heads, columns = [row[0] for row in rows], _columns(rows)
    first = True
    while columns:
        widths = [max(map(len, column)) + 2 for column in columns]
        fitting = max(1, sum(sum(widths[: n + 1]) <= WIDTH - LABEL - 6 for n in range(len(widths))))
        for index, head in enumerate(heads):
            cells = (
                column[index].ljust(width)
                for column, width in zip(columns[:fitting], widths, strict=False)
            )
            label = "  node" if first and index == 0 else ""
            yield f"{label:{LABEL}}{head:6}{''.join(cells)}".rstrip()
        first, columns = False, columns[fitting:]


def _columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    length = max(len(row) for row in rows)
    padded = [[*row, *[""] * (length - len(row))] for row in rows]
    return [[row[index] for row in padded] for index in range(1, length)]


def _notes(label: str, notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield ""
    for number, note in enumerate(notes):
        yield from _row(label if number == 0 else "", [f"- {note}"])


def _written(plan: Plan) -> list[str]:
    return [f"{plan.run.root}/", "job.sh rank.sh run.yml plan.json review.html"]


def _row(label: str, texts: Sequence[str] | Iterator[str]) -> Iterator[str]:
    """A label and its lines, wrapped to the page; a word longer than the page stays whole."""
    for text in texts:
        indent = " " * (LABEL + (2 if text.startswith("- ") else 0))
        yield from textwrap.wrap(
            text,
            WIDTH,
            initial_indent=f"  {label}".ljust(LABEL),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        label = ""


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _count(number: float) -> str:
    """ "20.6 B", "3.15 M", "812"."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def _bytes(number: float) -> str:
    return f"{number / GIGA:,.3g} GB"
