"""Losses and gradient norms of ten steps, by geometry and engine."""

from dataclasses import dataclass

import torch

from neox.parallel.mesh import Mesh, single_process
from neox.train.engine import DeepSpeedEngine, ZeroSpec
from neox.train.native import NativeEngine
from neox.train.optimizers import OptimizerSpec
from neox.train.precision import Precision
from neox.train.step import Engine
from tests.train.small_model import MICRO_BATCHES, SAMPLES, global_batch, share, trainee

ADAM = OptimizerSpec(weight_decay=0.1, clip=0.9)
SGD = OptimizerSpec(kind="sgd", clip=0.9)
STEPS = 10
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Numbers:
    loss: float
    norm: float


def native(
    optimizer: OptimizerSpec = ADAM, precision: Precision = "fp32", recompute: int = 0
) -> NativeEngine:
    return NativeEngine(
        trainee(recompute),
        single_process(CPU),
        optimizer=optimizer,
        precision=precision,
    )


def deepspeed(
    mesh: Mesh, stage: int, optimizer: OptimizerSpec = ADAM, precision: Precision = "fp32"
) -> DeepSpeedEngine:
    return DeepSpeedEngine(
        trainee(),
        mesh,
        optimizer=optimizer,
        precision=precision,
        zero=ZeroSpec(stage=stage),
        micro_batch=SAMPLES,
        accumulation=MICRO_BATCHES // mesh.data_size,
    )


def take_steps(
    engine: Engine, mesh: Mesh, *, first: int = 0, steps: int = STEPS, wrong: float = 1.0
) -> list[Numbers]:
    """`wrong` scales what is back-propagated: the tests must see 0.1 %."""
    found = []
    for step in range(first, first + steps):
        batches = share(global_batch(step), mesh.data_rank, mesh.data_size)
        if wrong != 1.0:
            batches = [
                type(b)(tokens=b.tokens, loss_mask=b.loss_mask, weight=b.weight / wrong)
                for b in batches
            ]
        result = engine.step(batches, lr=1e-3, stop=False)
        assert float(result.bad) == 0
        found.append(Numbers(float(result.loss), float(result.grad_norm)))
    return found


def deepspeed_steps(
    mesh: Mesh, stage: int, optimizer: OptimizerSpec, precision: Precision, wrong: float
) -> list[Numbers]:
    return take_steps(deepspeed(mesh, stage, optimizer, precision), mesh, wrong=wrong)


def native_steps(
    optimizer: OptimizerSpec = ADAM, precision: Precision = "fp32", wrong: float = 1.0
) -> list[Numbers]:
    return take_steps(native(optimizer, precision), single_process(CPU), wrong=wrong)


def largest_difference(one: list[Numbers], other: list[Numbers]) -> float:
    """Relative, over losses and norms."""
    return max(
        max(abs(a.loss / b.loss - 1), abs(a.norm / b.norm - 1))
        for a, b in zip(one, other, strict=True)
    )
