"""What the card draws and how fast it is clocked while something runs (needs nvidia-ml-py)."""

import threading
from types import TracebackType
from typing import Self

import torch

EVERY = 0.1  # seconds


class Gauge:
    """Mean power and SM clock of torch's GPU 0 over a `with` block."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml = pynvml
        # by its name: CUDA_VISIBLE_DEVICES, which torch follows, says nothing to NVML
        name = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
        self._device = self._nvml.nvmlDeviceGetHandleByUUID(name)
        self._watts: list[float] = []
        self._megahertz: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY):
            self._watts.append(self._nvml.nvmlDeviceGetPowerUsage(self._device) / 1_000)
            clock = self._nvml.nvmlDeviceGetClockInfo(self._device, self._nvml.NVML_CLOCK_SM)
            self._megahertz.append(clock)

    @property
    def watts(self) -> float:
        return sum(self._watts) / max(1, len(self._watts))

    @property
    def megahertz(self) -> float:
        return sum(self._megahertz) / max(1, len(self._megahertz))
