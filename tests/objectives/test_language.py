"""The language model's loss against a sum written out."""

import math

import torch

from neox.data.batch import Batch
from neox.objectives.language import CausalLanguageModel


def test_loss_is_the_masked_sum_of_minus_log_probabilities() -> None:
    draw = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 5, generator=draw)
    identity = torch.eye(5)  # an output matrix that gives the hidden states as logits
    tokens = torch.randint(0, 5, (2, 4), generator=draw)
    mask = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    batch = Batch(tokens=tokens, loss_mask=mask, weight=4.0)
    expected = 0.0
    for b in range(2):
        for t in range(3):
            row = [math.exp(x) for x in logits[b, t].tolist()]
            chosen = row[int(tokens[b, t + 1])] / sum(row)
            expected -= float(mask[b, t]) * math.log(chosen)
    parts = CausalLanguageModel().loss(logits, identity, batch)
    assert math.isclose(float(parts.total), expected, rel_tol=1e-6)
    assert float(parts.weight) == 4.0
    assert torch.equal(CausalLanguageModel().inputs(batch), tokens[:, :-1])


def test_the_loss_of_bf16_logits_is_computed_in_fp32() -> None:
    hidden = torch.zeros(1, 1, 1, dtype=torch.bfloat16)
    matrix = torch.zeros(50_000, 1, dtype=torch.bfloat16)
    batch = Batch(
        tokens=torch.zeros(1, 2, dtype=torch.int64), loss_mask=torch.ones(1, 1), weight=1.0
    )
    total = CausalLanguageModel().loss(hidden, matrix, batch).total
    assert total.dtype == torch.float32
    assert math.isclose(float(total), math.log(50_000), rel_tol=1e-6)
