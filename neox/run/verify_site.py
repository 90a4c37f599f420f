"""`neox verify-site RUN_YML`: is this machine what its profile says?

Every rank writes what it sees into `state/seen.JOBID/`; rank 0 waits for all of them, holds each
against the plan and prints planned beside seen. Nothing but files, so that it works where the
network does not. The code is 0 where all is as planned, else 4.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neox.run.exit_codes import ExitCode
from neox.run.failure import tell, write_failed
from neox.run.paths import RunPaths, run_of
from neox.run.processes import RendezvousError
from neox.run.rank import RankEnvironment, read_rank
from neox.run.seen import Seen, look
from neox.run.stop import write_aside
from neox.sites.profile import NodeType, StorageArea
from neox.sites.ranges import parse_cores, print_cores
from neox.submit.codec import decode
from neox.submit.layout import RankPlace
from neox.submit.places import Names, filled
from neox.submit.plan import Plan
from neox.submit.run_files import prepare_again

PATIENCE_SECONDS = 120.0
MEMORY_SHARE = 0.9  # of what the profile says: makers and drivers keep some


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing of the plan, and what is there."""

    where: str
    what: str
    planned: str
    seen: str
    agrees: bool | None  # None: it cannot be seen from here


def main(argv: Sequence[str]) -> int:
    run_yml = _parser().parse_args(argv).run_yml
    paths, rank = run_of(run_yml), read_rank(os.environ)
    try:
        folder = paths.state / f"seen.{rank.job_id}"
        folder.mkdir(parents=True, exist_ok=True)
        write_aside(folder / f"{rank.rank}.json", json.dumps(asdict(look(rank))))
        if rank.rank:
            return ExitCode.DONE
        plan = prepare_again(RunPaths(run_yml.absolute().parent)).plan
        rows = [*rank_rows(plan, _gathered(folder, rank)), *storage_rows(plan, rank)]
    except Exception as error:
        return tell(error, paths, rank.rank, rank.job_id, rank.node)
    print("\n".join(table(rows)), flush=True)
    wrong = [row for row in rows if row.agrees is False]
    if not wrong:
        return ExitCode.DONE
    reason = f"{len(wrong)} of {len(rows)} facts of {plan.site.name} are not as planned"
    write_failed(paths, rank.job_id, ExitCode.REFUSED, rank.rank, reason=reason, node=None)
    return ExitCode.REFUSED


def _gathered(folder: Path, rank: RankEnvironment) -> list[Seen]:
    """What every rank saw, in order. Raises RendezvousError naming those that wrote nothing."""
    end = time.monotonic() + PATIENCE_SECONDS
    files = [folder / f"{number}.json" for number in range(rank.world_size)]
    while missing := [file.stem for file in files if not file.exists()]:
        if time.monotonic() > end:
            raise RendezvousError(f"rank {', '.join(missing)} wrote nothing into {folder}")
        time.sleep(0.1)
    return [decode(Seen, json.loads(file.read_text(encoding="utf-8"))) for file in files]


# --- ranks -------------------------------------------------------------------------------------


def rank_rows(plan: Plan, seen: Sequence[Seen]) -> Iterator[Row]:
    """Node, cores and GPU of each rank, in order."""
    bound = plan.site.launcher.binding not in ("none", "mpibind")
    nodes = list(dict.fromkeys(one.node for one in seen))
    for one in seen:
        place = plan.layout[one.local_rank]
        where = f"rank {one.rank}"
        node = nodes[one.rank // plan.ranks_per_node] if len(nodes) == plan.nodes else "?"
        yield Row(where=where, what="node", planned=node, seen=one.node, agrees=node == one.node)
        if bound:
            yield _cores_row(plan.node_type, place, one)
        if place.gpu is not None:
            yield from _gpu_rows(plan, place, one)


def _cores_row(node: NodeType, place: RankPlace, one: Seen) -> Row:
    cores = print_cores(_cores(node, one.cpus))
    planned = print_cores(place.cores)
    agrees = cores == planned
    return Row(where=f"rank {one.rank}", what="cores", planned=planned, seen=cores, agrees=agrees)


def _gpu_rows(plan: Plan, place: RankPlace, one: Seen) -> Iterator[Row]:
    where, node = f"rank {one.rank}", plan.node_type
    assert node.gpu is not None
    whole = node.gpus if plan.queue.exclusive else plan.ranks_per_node
    count = 1 if plan.site.launcher.gpu_visibility == "one" else whole
    yield Row(
        where=where, what="GPUs", planned=f"{count}", seen=f"{one.gpus}", agrees=count == one.gpus
    )
    if one.gpu is None:
        return
    memory = f"{node.gpu.kind}, {node.gpu.memory_gb:g} GB"
    enough = one.gpu.memory_gb >= MEMORY_SHARE * node.gpu.memory_gb
    found = f"{one.gpu.name}, {one.gpu.memory_gb:.0f} GB"
    yield Row(where=where, what="GPU", planned=memory, seen=found, agrees=enough)
    near = set(_cores(node, parse_cores(one.gpu.near))) if one.gpu.near else None
    yield Row(
        where=where,
        what="GPU near",
        planned=print_cores(place.cores),
        seen=print_cores(near) if near else "not told",
        agrees=None if near is None else set(place.cores) <= near,
    )


def _cores(node: NodeType, cpus: Sequence[int]) -> tuple[int, ...]:
    """Physical cores of hardware threads, in order."""
    far = node.smt_numbering == "far"
    return tuple(sorted({cpu % node.cores if far else cpu // node.smt for cpu in cpus}))


# --- storage -----------------------------------------------------------------------------------


def storage_rows(plan: Plan, rank: RankEnvironment) -> Iterator[Row]:
    """The file systems of the profile, as rank 0 finds them."""
    names = Names(
        user=plan.request.user,
        home=plan.request.home,
        account=plan.account,
        cores_per_rank=len(plan.layout[0].cores),
        gpus=plan.node_type.gpus,
    )
    places = {name: (filled(area.path, names), area) for name, area in plan.site.storage.items()}
    for name, (path, area) in places.items():
        if path is not None and not area.needs:
            yield _storage_row(name, Path(path), area, rank)
    seen = _access(plan.run.root)
    agrees = seen == "rw"
    yield Row(where=rank.node, what="the run", planned="rw", seen=seen, agrees=agrees)


def _storage_row(name: str, path: Path, area: StorageArea, rank: RankEnvironment) -> Row:
    seen = _access(path)
    what, planned = f"{name} {path}", area.compute_access
    return Row(where=rank.node, what=what, planned=planned, seen=seen, agrees=planned == seen)


def _access(path: Path) -> str:
    """ "rw", "ro" or "none", by trying: a file system mounted read-only lets access(2) say yes."""
    if not path.is_dir():
        return "none"
    probe = path / f".verify-site.{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return "ro"
    return "rw"


# --- what a person reads -----------------------------------------------------------------------


def table(rows: Sequence[Row]) -> Iterator[str]:
    heads = Row(where="", what="", planned="planned", seen="seen", agrees=True)
    cells = [(row.where, row.what, row.planned, row.seen) for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for row, line in zip((None, *rows), cells, strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield text.rstrip() if row is None else f"{text}  {_verdict(row)}"


def _verdict(row: Row) -> str:
    if row.agrees is None:
        return "?"
    return "ok" if row.agrees else "NOT AS PLANNED"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox verify-site", description="Is this machine what its profile says?"
    )
    parser.add_argument("run_yml", type=Path, metavar="RUN_YML", help="RUN/links/N/run.yml")
    return parser
