"""What the card draws and how fast it is clocked while something runs."""

import threading
from types import TracebackType
from typing import Self

import pynvml

EVERY = 0.1  # seconds


class Gauge:
    """Mean power and SM clock of GPU 0 over a `with` block."""

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self._device = pynvml.nvmlDeviceGetHandleByIndex(0)
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
            self._watts.append(pynvml.nvmlDeviceGetPowerUsage(self._device) / 1_000)
            clock = pynvml.nvmlDeviceGetClockInfo(self._device, pynvml.NVML_CLOCK_SM)
            self._megahertz.append(clock)

    @property
    def watts(self) -> float:
        return sum(self._watts) / max(1, len(self._watts))

    @property
    def megahertz(self) -> float:
        return sum(self._megahertz) / max(1, len(self._megahertz))
