"""What a rank finds where it runs: cores, GPUs, and which cores the system holds near its GPU."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from neox.run.processes import choose_device
from neox.run.rank import RankEnvironment

PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True, kw_only=True)
class SeenGpu:
    """The GPU that the rank would train on."""

    name: str
    memory_gb: float
    near: str | None  # "48-55,112-119": hardware threads, as the kernel lists them; None: not told


@dataclass(frozen=True, kw_only=True)
class Seen:
    rank: int
    local_rank: int
    node: str
    cpus: tuple[int, ...]  # hardware threads that it may run on
    gpus: int  # that it sees
    gpu: SeenGpu | None


def look(rank: RankEnvironment) -> Seen:
    """Raises RendezvousError where the rank has no GPU among those it sees."""
    gpus = torch.cuda.device_count()
    return Seen(
        rank=rank.rank,
        local_rank=rank.local_rank,
        node=rank.node,
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        gpus=gpus,
        gpu=_gpu(choose_device(rank)) if gpus else None,
    )


def _gpu(device: torch.device) -> SeenGpu:
    about = torch.cuda.get_device_properties(device)
    near = cpus_near(_pci_address(about))
    return SeenGpu(name=about.name, memory_gb=about.total_memory / 1e9, near=near)


def _pci_address(about: "torch.cuda._CudaDeviceProperties") -> str | None:
    """ "0000:c1:00.0"; torch's own types do not list where they keep it."""
    try:
        domain, bus = about.pci_domain_id, about.pci_bus_id  # type: ignore[attr-defined]
        return f"{domain:04x}:{bus:02x}:{about.pci_device_id:02x}.0"  # type: ignore[attr-defined]
    except AttributeError:
        return None  # a torch that is too old


def cpus_near(address: str | None, devices: Path = PCI) -> str | None:
    """The hardware threads that the kernel holds close to a device."""
    if address is None:
        return None
    try:
        return (devices / address / "local_cpulist").read_text(encoding="ascii").strip() or None
    except OSError:
        return None  # a container or a virtual machine may hide it
