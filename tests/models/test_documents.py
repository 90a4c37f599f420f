"""Several documents in a row: each is computed as if it were alone."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from neox.data.batch import Batch
from neox.data.batching import positions_within
from neox.models.init import initialise
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from neox.objectives.language import CausalLanguageModel
from neox.ops.attention import within_documents
from neox.train.forward import Trainee
from tests.models.variants import PLAIN, VARIANTS

LENGTHS = ([5, 1, 7, 3, 8], [24], [2, 22])  # of the documents in each row
DOCUMENTS = torch.tensor(
    [[n for n, length in enumerate(row) for _ in range(length)] for row in LENGTHS],
    dtype=torch.int32,
)
POSITIONS = torch.from_numpy(positions_within(DOCUMENTS.numpy()))
TOKENS = torch.randint(PLAIN.vocab_size, (3, 25), generator=torch.Generator().manual_seed(7))


def built(spec: ModelSpec, **options: int) -> Transformer:
    model = Transformer(spec, **options)
    initialise(model, replace(spec, init_std=0.2), 1)
    return model


def alone(model: Transformer) -> list[torch.Tensor]:
    """Logits of each row, of one document after the other."""
    rows = []
    for row, lengths in zip(TOKENS[:, :-1], LENGTHS, strict=True):
        parts = [model(part[None])[0] for part in row.split(lengths)]
        rows.append(torch.cat(parts))
    return rows


def logits(model: Transformer, **more: torch.Tensor) -> torch.Tensor:
    return F.linear(model.hidden(TOKENS[:, :-1], **more), model.output_matrix)


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("reset", [False, True], ids=["positions go on", "positions reset"])
def test_a_packed_document_gives_the_logits_it_gives_alone(spec: ModelSpec, reset: bool) -> None:
    """Rotary positions are relative, so within a document it does not matter where they begin."""
    model = built(spec)
    more = {"positions": POSITIONS} if reset else {}
    packed = logits(model, documents=DOCUMENTS, **more)
    for found, expected in zip(packed, alone(model), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_without_the_mask_documents_see_each_other() -> None:
    model = built(PLAIN)
    plain = logits(model)
    assert not torch.allclose(plain[0, 5:], alone(model)[0][5:], atol=1e-3)
    assert torch.allclose(plain[1], alone(model)[1], atol=2e-5)


def test_positions_reach_the_rotation() -> None:
    model = built(PLAIN)
    plain, reset = logits(model), logits(model, positions=POSITIONS)
    assert torch.allclose(reset[0, :5], plain[0, :5], atol=2e-5)
    assert not torch.allclose(reset[0, 6:], plain[0, 6:], atol=1e-3)
    counted = torch.arange(24).expand(3, 24)
    torch.testing.assert_close(logits(model, positions=counted), plain)
    without = built(VARIANTS["no positions"])
    torch.testing.assert_close(logits(without, positions=POSITIONS), logits(without))


@pytest.mark.parametrize("recompute", [0, 1, 2])
def test_loss_and_gradients_are_those_of_the_documents_alone(recompute: int) -> None:
    packed, apart = Trainee(built(PLAIN, recompute=recompute), CausalLanguageModel()), built(PLAIN)
    packed.train()
    batch = Batch(
        tokens=TOKENS,
        loss_mask=torch.ones(3, 24),
        weight=72.0,
        documents=DOCUMENTS,
        positions=POSITIONS,
    )
    parts = packed(batch)
    parts.total.backward()
    total = torch.zeros(())
    for row, targets, lengths in zip(TOKENS[:, :-1], TOKENS[:, 1:], LENGTHS, strict=True):
        for text, target in zip(row.split(lengths), targets.split(lengths), strict=True):
            total = total + F.cross_entropy(apart(text[None])[0], target, reduction="sum")
    total.backward()
    torch.testing.assert_close(parts.total, total, rtol=1e-5, atol=1e-4)
    for (name, one), other in zip(packed.model.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=2e-4, msg=name)


def test_what_a_token_sees() -> None:
    visible = within_documents(torch.tensor([[0, 0, 1, 1, 1, 2]]))
    assert visible.shape == (1, 1, 6, 6)
    assert visible[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_mask_is_made_once_for_all_layers_in_the_models_dtype(dtype: torch.dtype) -> None:
    model = built(PLAIN).to(dtype)
    seen: list[torch.Tensor | None] = []
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].visible))
    packed = logits(model, documents=DOCUMENTS)
    assert len({id(mask) for mask in seen}) == 1
    assert seen[0] is not None
    assert (seen[0].dtype, packed.dtype) == (dtype, dtype)
    for found, expected in zip(packed, alone(model), strict=True):
        torch.testing.assert_close(found.float(), expected.float(), atol=0.15, rtol=0.05)
