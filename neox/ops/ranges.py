"""Named ranges in a profile: of a phase, of a layer both ways. Free when no profile is made."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.profiler import record_function


def profiled() -> bool:
    """Does torch's profiler run, or `emit_nvtx`, which turns ranges into NVTX for nsys?"""
    return torch._C._autograd._profiler_enabled()


@contextlib.contextmanager
def span(name: str) -> Iterator[None]:
    if not profiled():
        yield
        return
    with record_function(name):
        yield


class Range:
    """A range around what lies between `enter` and `leave`, and around its backward pass.

    Both hand a tensor through. A node of autograd runs before all that were made earlier, so the
    gradient passes `leave` before anything between, and `enter` after everything between.
    """

    def __init__(self, name: str) -> None:
        self.forward = record_function(name)
        self.backward = record_function(f"{name} backward")

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        self.forward.__enter__()  # type: ignore[no-untyped-call]
        output: torch.Tensor = _Enter.apply(x, self)  # type: ignore[no-untyped-call]
        return output

    def leave(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = _Leave.apply(x, self)  # type: ignore[no-untyped-call]
        self.forward.__exit__(None, None, None)
        return output


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, range_: Range) -> torch.Tensor:
        ctx.range = range_
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.range.backward.__exit__(None, None, None)
        return gradient, None


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, range_: Range) -> torch.Tensor:
        ctx.range = range_
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.range.backward.__enter__()
        return gradient, None
