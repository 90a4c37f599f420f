"""`neox preflight RUN_YML`: does this node do what the plan counts on?

The ranks of each node look at their GPUs, meet, add numbers up, and local rank 0 leaves
`state/preflight.JOBID/NODE`, or NODE.why with what is wrong. Before the ranks of a job, job.sh
starts it with --node, which always ends with 0: there the files are the answer, and a node that
falls silent has left in NODE.why what it was doing. As a job of its own (`--job preflight`) all
ranks meet afterwards, and the code is the answer.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from neox.run.end_link import checkpoint_folder
from neox.run.exit_codes import ExitCode
from neox.run.failure import tell, write_failed
from neox.run.paths import RunPaths, run_of
from neox.run.processes import RendezvousError, choose_device, join, leave
from neox.run.rank import RankEnvironment, read_rank
from neox.run.stop import write_aside
from neox.submit.limits import choose_queue
from neox.submit.manifest import read_manifest
from neox.submit.problem import Problem

LIMIT_SECONDS = 55  # job.sh waits for 60; a call that never returns ends with the process
PATIENCE = timedelta(seconds=25)
MEMORY_SHARE = 0.9  # of what the profile says: makers and drivers keep some
FREE_SHARE = 0.8  # of what there is: the rest belongs to somebody who should have left
TEMPORARY_BYTES = 100 * 10**6
NUMBERS = 1 << 20  # added up in the node, 4 MB
GB = 1e9


class NodeProblem(RuntimeError):
    """Something on this node is not as the plan counts on."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the plan of the link counts on."""

    gpus: int  # that one rank sees; 0: none is used
    gpu_memory_gb: float
    checkpoint_bytes: int


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    run_yml: Path = arguments.run_yml
    paths, rank = run_of(run_yml), read_rank(os.environ)
    folder = paths.preflight(rank.job_id if arguments.node else f"{rank.job_id}.ranks")
    try:
        expected = expectations(RunPaths(run_yml.absolute().parent), rank.local_world_size)
        if arguments.node:
            signal.alarm(LIMIT_SECONDS)
        problem = check_node(folder, paths, rank, expected)
        if arguments.node:
            return ExitCode.DONE
        if problem:
            code = ExitCode.NODE_FAULT
            write_failed(paths, rank.job_id, code, rank.rank, reason=problem, node=rank.node)
            return code
        _meet_all(folder, rank)
    except Exception as error:
        if arguments.node:  # a mistake of ours, and no word about the node
            print(f"neox preflight: {type(error).__name__}: {error}", file=sys.stderr)
            with contextlib.suppress(OSError):
                (folder / f"{rank.node}.why").unlink(missing_ok=True)
            return ExitCode.DONE
        code = tell(error, paths, rank.rank, rank.job_id, rank.node)
        sys.stderr.flush()
        os._exit(code)  # a clean exit would wait for peers that wait for us
    return ExitCode.DONE


def expectations(link: RunPaths, ranks_per_node: int) -> Expected:
    """From the manifest that lies beside the link's run.yml."""
    manifest = read_manifest(link)
    queue = choose_queue(manifest.site, manifest.request.queue)
    assert not isinstance(queue, Problem), queue  # it was planned
    node = manifest.site.node_type(queue.node_type)
    saved = manifest.summary.get("checkpoint_bytes")
    checkpoint = saved if isinstance(saved, int) else 0
    if node.gpu is None or not manifest.job.needs.gpus:
        return Expected(gpus=0, gpu_memory_gb=0.0, checkpoint_bytes=checkpoint)
    visible = node.gpus if queue.exclusive else ranks_per_node
    return Expected(
        gpus=1 if manifest.site.launcher.gpu_visibility == "one" else visible,
        gpu_memory_gb=node.gpu.memory_gb,
        checkpoint_bytes=checkpoint,
    )


# --- one node ----------------------------------------------------------------------------------


def check_node(folder: Path, paths: RunPaths, rank: RankEnvironment, expected: Expected) -> str:
    """What is wrong with this node, in one line; empty when nothing is. Every rank returns it.

    Local rank 0 writes it into `folder`.
    """
    store = _meet_in_node(folder, rank)
    if rank.local_rank == 0:
        _say_why(folder, rank, "its GPUs did not answer" if expected.gpus else "it did not answer")
    mine = ""
    try:
        device = look(paths, rank, expected)
    except (NodeProblem, RendezvousError, RuntimeError, OSError) as error:
        mine, device = _one_line(error), torch.device("cpu")
    found = _agree(store, rank, "looked", mine)
    if not found:
        if rank.local_rank == 0:
            _say_why(folder, rank, "an all-reduce among its ranks did not end")
        found = _agree(store, rank, "added", _try_adding(store, rank, device))
    if rank.local_rank == 0:
        _conclude(folder, rank, found, device)
    _outlive(store, rank)
    return found


def look(paths: RunPaths, rank: RankEnvironment, expected: Expected) -> torch.device:
    """This rank's GPU, looked at. Raises NodeProblem and what torch raises."""
    if rank.local_rank == 0:
        check_disks(paths, rank, expected)
    if not expected.gpus or not gpus_in_torch():
        return torch.device("cpu")
    check_gpu_count(torch.cuda.device_count(), expected.gpus)
    device = choose_device(rank)
    free, total = torch.cuda.mem_get_info(device)
    check_gpu_memory(free, total, expected.gpu_memory_gb, f"GPU of local rank {rank.local_rank}")
    ones = torch.ones(512, 512, device=device)
    if not bool((ones @ ones == 512).all()):
        raise NodeProblem(f"the GPU of local rank {rank.local_rank} multiplies wrongly")
    return device


def gpus_in_torch() -> bool:
    """Whether this build of torch could use a GPU: one that cannot says nothing of the node."""
    return torch.version.cuda is not None or torch.version.hip is not None


def check_gpu_count(seen: int, planned: int) -> None:
    if seen != planned:
        raise NodeProblem(f"a rank sees {seen} GPUs, and {planned} were planned")


def check_gpu_memory(free: int, total: int, planned_gb: float, what: str) -> None:
    """Bytes against the profile's GB. Raises NodeProblem."""
    if total < MEMORY_SHARE * planned_gb * GB:
        raise NodeProblem(f"the {what} has {total / GB:.0f} GB, and {planned_gb:g} were planned")
    if free < FREE_SHARE * total:
        taken = (total - free) / GB
        raise NodeProblem(f"{taken:.0f} of {total / GB:.0f} GB of the {what} are taken by others")


def check_disks(paths: RunPaths, rank: RankEnvironment, expected: Expected) -> None:
    """Where checkpoints go, and the node's own temporary files. Raises NodeProblem."""
    folder = checkpoint_folder(paths)
    places = (
        (folder, expected.checkpoint_bytes),
        (Path(tempfile.gettempdir()), TEMPORARY_BYTES),
    )
    for place, needed in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            probe = place / f".preflight.{rank.node}.{rank.job_id}"
            write_aside(probe, "written by a preflight\n")
            probe.unlink()
            free = shutil.disk_usage(place).free
        except OSError as error:
            raise NodeProblem(f"{place} cannot be written: {error.strerror}") from None
        if free < needed:
            raise NodeProblem(
                f"{place} has {free / GB:,.1f} GB free, and {needed / GB:,.1f} are needed"
            )


# --- the ranks of a node among themselves ------------------------------------------------------


def _meet_in_node(folder: Path, rank: RankEnvironment) -> Store:
    """A store of this node's ranks: local rank 0 keeps it, on a port that a file tells."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f".{rank.node}.port"
    if rank.local_rank == 0:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
        write_aside(told, str(store.port))
        return store
    end = time.monotonic() + PATIENCE.total_seconds()
    while not told.exists():
        if time.monotonic() > end:
            raise RendezvousError("local rank 0 of this node never came")
        time.sleep(0.05)
    port = int(told.read_text(encoding="utf-8"))
    return TCPStore("127.0.0.1", port, is_master=False, timeout=PATIENCE)


def _agree(store: Store, rank: RankEnvironment, name: str, mine: str) -> str:
    """The first complaint of any rank of the node, told to all of them by local rank 0."""
    store.set(f"{name}.{rank.local_rank}", mine or "-")
    if rank.local_rank == 0:
        found = "-"
        for other in range(rank.local_world_size):
            try:
                told = store.get(f"{name}.{other}").decode()
            except RuntimeError:  # torch's DistStoreError
                found = f"its local rank {other} did not answer"
                break
            found = told if found == "-" else found
        store.set(name, found)
    found = store.get(name).decode()
    return "" if found == "-" else found


def _outlive(store: Store, rank: RankEnvironment) -> None:
    """The store is local rank 0's, so it stays until the others have read their last from it."""
    if rank.local_rank:
        store.set(f"left.{rank.local_rank}", "-")
        return
    for other in range(1, rank.local_world_size):
        with contextlib.suppress(RuntimeError):  # one that died reads nothing more
            store.get(f"left.{other}")


def _try_adding(store: Store, rank: RankEnvironment, device: torch.device) -> str:
    try:
        _add_up(store, rank, device)
    except (NodeProblem, RuntimeError) as error:
        return _one_line(error)
    return ""


def _add_up(store: Store, rank: RankEnvironment, device: torch.device) -> None:
    """An all-reduce whose result is known. Raises NodeProblem."""
    on_gpu = device.type == "cuda"
    if rank.local_world_size == 1:
        return
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=PrefixStore("group", store),
        rank=rank.local_rank,
        world_size=rank.local_world_size,
        timeout=PATIENCE,
        device_id=device if on_gpu else None,
    )
    try:
        numbers = torch.full((NUMBERS,), float(rank.local_rank + 1), device=device)
        dist.all_reduce(numbers)
        wanted = rank.local_world_size * (rank.local_world_size + 1) / 2
        if not bool((numbers == wanted).all()):
            raise NodeProblem("an all-reduce among its ranks gives wrong sums")
    finally:
        leave()


def _say_why(folder: Path, rank: RankEnvironment, text: str) -> None:
    """What is wrong, should nothing more be heard."""
    plain = "".join(c for c in text if c.isprintable() and c not in "\"\\'")
    write_aside(folder / f"{rank.node}.why", f"{plain}\n")


def _conclude(folder: Path, rank: RankEnvironment, found: str, device: torch.device) -> None:
    if found:
        print(f"preflight: {rank.node} is not fit: {found}", flush=True)
        _say_why(folder, rank, found)
        return
    what = "ranks on CPUs"
    if device.type == "cuda":
        what = f"ranks on {torch.cuda.get_device_name(device)}"
    write_aside(folder / rank.node, f"{rank.local_world_size} {what}\n")
    (folder / f"{rank.node}.why").unlink(missing_ok=True)


def _one_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


# --- all of them -------------------------------------------------------------------------------


def _meet_all(folder: Path, rank: RankEnvironment) -> None:
    """An all-reduce over every rank of the job, and the table of nodes from rank 0."""
    device = choose_device(rank)
    mesh = join(rank, device, alone_needs_group=False)
    seconds = _timed_sum(mesh.device, rank.world_size)
    if mesh.is_first:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and path.suffix != ".why":
                print(f"{path.name}: {path.read_text(encoding='utf-8').strip()}")
        size = 4 * NUMBERS / 1e6
        print(
            f"an all-reduce of {size:.0f} MB over {rank.world_size} ranks: {seconds * 1e3:.1f} ms"
        )
    leave()


def _timed_sum(device: torch.device, world_size: int) -> float:
    """Seconds of the second of two: the first sets connections up. Raises NodeProblem."""
    if world_size == 1:
        return 0.0
    began = 0.0
    for _ in range(2):
        numbers = torch.ones(NUMBERS, device=device)
        began = time.perf_counter()
        dist.all_reduce(numbers)
        if not bool((numbers == world_size).all()):
            raise NodeProblem("an all-reduce over all ranks gives wrong sums")
    return time.perf_counter() - began


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox preflight", description="Does this node do what the plan counts on?"
    )
    parser.add_argument("run_yml", type=Path, metavar="RUN_YML", help="RUN/links/N/run.yml")
    parser.add_argument(
        "--node", action="store_true", help="this node alone, for job.sh: files are the answer"
    )
    return parser
