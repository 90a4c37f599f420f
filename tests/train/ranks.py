"""Runs a function in several processes that form one gloo group, and gives back their results."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import multiprocessing

from neox.run.processes import join, leave
from neox.run.rank import RankEnvironment

Result = TypeVar("Result")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _main(  # noqa: PLR0917
    rank, ranks, port, work, arguments, results
):  # type: ignore[no-untyped-def]
    torch.set_num_threads(1)
    place = RankEnvironment(
        rank=rank,
        local_rank=rank,
        world_size=ranks,
        local_world_size=ranks,
        master_addr="127.0.0.1",
        master_port=port,
        job_id="test",
    )
    mesh = join(place, torch.device("cpu"), alone_needs_group=True)
    results.put((rank, work(mesh, *arguments)))
    leave()


def run_ranks(ranks: int, work: Callable[..., Result], *arguments: object) -> list[Result]:
    """What `work(mesh, *arguments)` returns in each of `ranks` processes."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    port = free_port()
    processes = [
        context.Process(target=_main, args=(rank, ranks, port, work, arguments, results))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    found: dict[int, Result] = {}
    while len(found) < ranks:
        time.sleep(0.02)
        assert all(p.exitcode in (None, 0) for p in processes), "a rank died"
        if not results.empty():
            rank, result = results.get()
            found[rank] = result
    for process in processes:
        process.join()
    return [found[rank] for rank in range(ranks)]
