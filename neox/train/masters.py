"""fp32 weights, the copies in a lower format that the model computes with, and their gradients."""

from collections.abc import Callable

import torch
from torch import nn

from neox.train.precision import DTYPES, Precision


class Masters:
    """The model's parameters become masters; below fp32 it gets parameters of the lower format.

    A step of one micro-batch leaves its gradients as the backward pass made them. Over several,
    each is added to its master's in fp32 the moment it is complete, and never accumulated in the
    lower format.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self.named = dict(model.named_parameters())
        self.lower: dict[str, nn.Parameter] = {}
        self._adds_up = False
        if precision != "fp32":
            for name, master in self.named.items():
                self.lower[name] = self._lowered(model, name, master, DTYPES[precision])

    def begin(self, micro_batches: int) -> None:
        self._adds_up = micro_batches > 1

    def gradients(self) -> list[torch.Tensor]:
        """One for each master, in its format or the lower one."""
        found = [self._gradient(name) for name in self.named]
        assert all(gradient is not None for gradient in found)
        return [gradient for gradient in found if gradient is not None]

    def widen_gradients(self) -> list[torch.Tensor]:
        """The same, moved to the masters in fp32, for an optimizer that reads them there."""
        for name, low in self.lower.items():
            if low.grad is not None:
                self.named[name].grad = low.grad.float()
                low.grad = None
        return self.gradients()

    def clear_gradients(self) -> None:
        for parameter in (*self.named.values(), *self.lower.values()):
            parameter.grad = None

    def refresh(self) -> None:
        """Round the masters anew into the lower copies."""
        if self.lower:
            masters = [self.named[name].detach() for name in self.lower]
            torch._foreach_copy_([low.detach() for low in self.lower.values()], masters)

    def _gradient(self, name: str) -> torch.Tensor | None:
        low = self.lower.get(name)
        return self.named[name].grad if low is None or low.grad is None else low.grad

    def _lowered(
        self, model: nn.Module, name: str, master: nn.Parameter, dtype: torch.dtype
    ) -> nn.Parameter:
        owner, _, attribute = name.rpartition(".")
        low = nn.Parameter(master.detach().to(dtype))
        low.register_post_accumulate_grad_hook(self._adder(master))  # type: ignore[no-untyped-call]
        setattr(model.get_submodule(owner), attribute, low)
        return low

    def _adder(self, master: torch.Tensor) -> Callable[[torch.Tensor], None]:
        def add(low: torch.Tensor) -> None:
            if not self._adds_up:
                return
            assert low.grad is not None
            if master.grad is None:
                master.grad = low.grad.float()
            else:
                master.grad += low.grad
            low.grad = None

        return add
