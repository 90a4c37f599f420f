"""Training with products in fp8 follows training without."""

import torch

from neox.models.layers import compute_in_fp8
from neox.ops.fp8 import Recipe
from neox.parallel.mesh import single_process
from neox.train.native import NativeEngine
from neox.train.optimizers import OptimizerSpec
from tests.train.small_model import global_batch, trainee

LAYERS = ("query_key_value", "dense", "linear1", "linear2")


def losses(recipe: Recipe | None) -> list[float]:
    student = trainee()
    if recipe is not None:
        compute_in_fp8(student.model, LAYERS, recipe)
    mesh = single_process(torch.device("cpu"))
    engine = NativeEngine(student, mesh, optimizer=OptimizerSpec(clip=1.0), precision="fp32")
    return [float(engine.step(global_batch(n), lr=3e-3, stop=False).loss) for n in range(40)]


def test_the_loss_curve_is_kept() -> None:
    exact, in_fp8 = losses(None), losses(Recipe())
    assert exact[-1] < exact[0] - 0.5  # it learns something
    assert in_fp8 != exact
    for one, other in zip(in_fp8, exact, strict=True):
        assert abs(one / other - 1) < 0.01
