"""What an engine keeps beside its tensors, the same whatever the engine or the geometry."""

from collections.abc import Sequence

import torch

from neox.train.loss_scale import LossScale
from neox.train.optimizers import Optimizer, set_steps_taken, steps_taken
from neox.train.step import EngineState


def engine_state(optimizer: Optimizer, scale: LossScale) -> EngineState:
    value, patience, good_steps = scale.state()
    return EngineState(
        optimizer_steps=steps_taken(optimizer),
        loss_scale=value,
        loss_scale_patience=patience,
        loss_scale_good_steps=good_steps,
    )


def restore_engine_state(
    state: EngineState, optimizer: Optimizer, masters: Sequence[torch.Tensor], scale: LossScale
) -> None:
    """`masters` are the tensors that this rank's optimizer updates."""
    set_steps_taken(optimizer, masters, state.optimizer_steps)
    scale.restore((state.loss_scale, state.loss_scale_patience, state.loss_scale_good_steps))
