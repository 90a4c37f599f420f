"""AdamW in one pass against torch's own, on the same gradients of a real model."""

import pytest
import torch

from neox.train import update as update_module
from neox.train.optimizers import OptimizerSpec
from neox.train.precision import Precision
from tests.train.equality import native
from tests.train.small_model import global_batch

# with an epsilon that does not make numbers out of the noise where a gradient is zero (key biases)
SPEC = OptimizerSpec(betas=(0.9, 0.95), epsilon=1e-4, weight_decay=0.1, clip=0.5)


def weights_after(
    steps: int, precision: Precision, micro_batches: int, *, bad: int | None = None
) -> dict[str, torch.Tensor]:
    engine = native(SPEC, precision)
    for step in range(steps):
        batches = global_batch(step)[:micro_batches]
        if step == bad:
            batches = [
                type(b)(tokens=b.tokens, loss_mask=b.loss_mask * float("inf"), weight=b.weight)
                for b in batches
            ]
        engine.step(batches, lr=1e-2, stop=False)
    assert engine.state().optimizer_steps == steps - (bad is not None)
    return {f"{f.name} {f.kind}": f.data.clone() for f in engine.fragments()}


# below fp32 one update is compared: after it, weights a hair apart round to different copies
@pytest.mark.parametrize("micro_batches", [1, 4])
@pytest.mark.parametrize(
    ("precision", "steps", "bad"),
    [("fp32", 5, None), ("fp32", 5, 2), ("bf16", 1, None), ("bf16", 2, 0)],
)
def test_one_pass_does_what_torch_does(
    precision: Precision,
    steps: int,
    bad: int | None,
    micro_batches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = weights_after(steps, precision, micro_batches, bad=bad)
    monkeypatch.setattr(update_module, "has_kernel", lambda *_: True)
    found = weights_after(steps, precision, micro_batches, bad=bad)
    fresh = {f"{f.name} {f.kind}": f.data for f in native(SPEC, precision).fragments()}
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5)
        assert not torch.equal(tensor, fresh[name])
