"""The optimizers, and the two scalars they keep beside their moments.

`torch.optim` with one addition: a step can be skipped on a flag that stands on the device, so that
no rank waits for the GPU to learn whether the numbers were good.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from neox.checkpoint.fragment import Kind

OptimizerKind = Literal["adam", "sgd"]
ParameterGroup = dict[str, object]
MOMENTS: tuple[Kind, ...] = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    kind: OptimizerKind = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = True  # AdamW; False: the decay joins the gradient
    clip: float = 0.0  # largest global gradient norm; 0 clips nothing


class _Skippable:
    """What both optimizers share: how a verdict about a step reaches the update.

    On a GPU torch's fused kernels read `found_inf` and `grad_scale` themselves. On the CPU reading
    the flag costs nothing, so `skip` decides there.
    """

    found_inf: torch.Tensor | None = None
    grad_scale: torch.Tensor | None = None  # the kernel divides gradients by it
    skip: bool = False


class Adam(_Skippable, torch.optim.Adam):
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        if not self.skip:
            super().step(closure)


class Sgd(_Skippable, torch.optim.SGD):
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        if not self.skip:
            super().step(closure)


Optimizer = Adam | Sgd


def build_optimizer(
    named: Iterable[tuple[str, torch.nn.Parameter]], spec: OptimizerSpec, device: torch.device
) -> Optimizer:
    fused = device.type == "cuda"
    groups = decay_groups(named, spec.weight_decay)
    if spec.kind == "sgd":
        return Sgd(groups, lr=0.0, foreach=False, fused=fused)
    return Adam(
        groups,
        lr=0.0,
        betas=spec.betas,
        eps=spec.epsilon,
        foreach=False,
        fused=fused,
        decoupled_weight_decay=spec.decoupled,
    )


def decay_groups(
    named: Iterable[tuple[str, torch.nn.Parameter]], weight_decay: float
) -> list[ParameterGroup]:
    """Weight decay on matrices (embeddings too), not on biases and norms; without decay one group.

    GPT-NeoX decides by module type; here a vector is a bias or a norm, which is the same set.
    """
    parameters = [parameter for _, parameter in named]
    if weight_decay == 0.0:
        return [{"params": parameters, "weight_decay": 0.0}]
    groups: list[ParameterGroup] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def state_kinds(optimizer: Optimizer) -> tuple[Kind, ...]:
    return MOMENTS if isinstance(optimizer, Adam) else ()


def moment(optimizer: Optimizer, master: torch.Tensor, kind: Kind) -> torch.Tensor:
    """The moment that belongs to `master`, made of zeros where no step was taken yet."""
    assert kind in state_kinds(optimizer), kind
    _ensure_state(optimizer, master)
    tensor = optimizer.state[master][kind]
    assert isinstance(tensor, torch.Tensor)
    return tensor


def steps_taken(optimizer: Optimizer) -> int:
    """How many updates were made; a skipped step is none."""
    for state in optimizer.state.values():
        if "step" in state:
            return round(float(state["step"]))
    return 0


def set_steps_taken(optimizer: Optimizer, masters: Sequence[torch.Tensor], steps: int) -> None:
    if not state_kinds(optimizer):
        return
    for master in masters:
        _ensure_state(optimizer, master)
        optimizer.state[master]["step"].fill_(steps)


def _ensure_state(optimizer: Optimizer, master: torch.Tensor) -> None:
    """The state that torch.optim.Adam itself makes at the first step."""
    if optimizer.state[master]:
        return
    fused = bool(optimizer.defaults["fused"])
    device = master.device if fused else torch.device("cpu")
    optimizer.state[master]["step"] = torch.zeros((), dtype=torch.float32, device=device)
    for kind in MOMENTS:
        optimizer.state[master][kind] = torch.zeros_like(master, requires_grad=False)
