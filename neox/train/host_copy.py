"""Numbers of the device, read without waiting for what it was given to do after them."""

import time

import torch


class HostCopy:
    """A small tensor on its way to the host.

    `float(tensor)` waits for all that the device was given until then. After a step that is the
    next step, at whose end the device would idle until the host has launched more.
    """

    def __init__(self, numbers: torch.Tensor) -> None:
        self._here = numbers.to("cpu", non_blocking=True)  # from a GPU, into pinned memory
        self.arrived_at = time.perf_counter()  # a GPU's numbers: as soon as somebody has seen them
        self._arrived: torch.cuda.Event | None = None
        if numbers.is_cuda:
            # blocking: the core is left to the loader meanwhile
            self._arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> torch.Tensor:
        """Waits until the numbers are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
            self.arrived_at = time.perf_counter()
        return self._here
