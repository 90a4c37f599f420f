"""The one object that holds every process group. It is passed in, never looked up."""

from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """This rank's place. Without `torch.distributed` (world size 1) the groups are None."""

    rank: int
    world_size: int
    device: torch.device
    data_rank: int
    data_size: int
    world_group: dist.ProcessGroup | None
    data_group: dist.ProcessGroup | None

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def single_process(device: torch.device) -> Mesh:
    return Mesh(
        rank=0,
        world_size=1,
        device=device,
        data_rank=0,
        data_size=1,
        world_group=None,
        data_group=None,
    )
