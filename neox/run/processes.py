"""Starts this rank among its peers: device, threads, process group, mesh."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, Store, TCPStore

from neox.parallel.mesh import Mesh, single_process
from neox.run.rank import RankEnvironment


class RendezvousError(RuntimeError):
    """The ranks did not find each other."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    meeting: timedelta = timedelta(minutes=10)  # until all ranks are there
    collective: timedelta = timedelta(minutes=30)  # a rank may save or evaluate meanwhile


def choose_device(rank: RankEnvironment) -> torch.device:
    """The GPU of this rank: its only one, or the one with its local rank. The CPU where is none."""
    gpus = torch.cuda.device_count()
    if gpus == 0:
        return torch.device("cpu")
    index = 0 if gpus == 1 else rank.local_rank
    if index >= gpus:
        raise RendezvousError(
            f"local rank {rank.local_rank} sees {gpus} GPUs and none of that number; start at most "
            "one rank per GPU, or let each rank see one GPU"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def use_threads(rank: RankEnvironment) -> None:
    """Ranks that share cores share them out; where OMP_NUM_THREADS says how many, it holds."""
    if not rank.threads_given:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // rank.local_world_size))


def join(
    rank: RankEnvironment,
    device: torch.device,
    *,
    alone_needs_group: bool,
    patience: Patience | None = None,
) -> Mesh:
    """The mesh of data ranks. One process has no group unless its engine needs one.

    Raises RendezvousError with the address when the ranks do not find each other in time.
    """
    if rank.world_size == 1 and not alone_needs_group:
        return single_process(device)
    times = patience or Patience()
    try:
        _init_group(rank, device, times)
    except (RuntimeError, OSError, ValueError) as error:
        raise RendezvousError(_not_reached(rank, times, error)) from error
    world = dist.group.WORLD
    return Mesh(
        rank=rank.rank,
        world_size=rank.world_size,
        device=device,
        data_rank=rank.rank,
        data_size=rank.world_size,
        world_group=world,
        data_group=world,
    )


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _init_group(rank: RankEnvironment, device: torch.device, times: Patience) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    store: Store = HashStore()
    if rank.world_size > 1:
        store = TCPStore(
            rank.master_addr,
            rank.master_port,
            rank.world_size,
            is_master=rank.rank == 0 and not rank.store_served,
            timeout=times.meeting,
        )
    dist.init_process_group(
        backend,
        store=store,
        rank=rank.rank,
        world_size=rank.world_size,
        timeout=times.collective,
        device_id=device if device.type == "cuda" else None,
    )


def _not_reached(rank: RankEnvironment, times: Patience, error: Exception) -> str:
    where = f"{rank.master_addr}:{rank.master_port}"
    if "EADDRINUSE" in str(error):
        return (
            f"the ranks cannot meet at {where}: another process on {socket.gethostname()} listens "
            "on that port; it follows from the job's id, so the next job has another"
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"rank {rank.rank} of {rank.world_size} on {socket.gethostname()} did not meet the others "
        f"at {where} within {times.meeting.total_seconds():.0f} s ({reason}); is MASTER_ADDR the "
        "host of rank 0, and does every node reach that port?"
    )
