"""The same model on a GPU: logits close to the CPU's, training in bf16 and fp16, generation."""

from dataclasses import replace

import pytest
import torch

from neox.inference.generate import generate
from neox.models.init import initialise
from neox.models.transformer import Transformer
from tests.models.variants import PLAIN

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
TOKENS = torch.arange(48).reshape(2, 24)


def built() -> Transformer:
    model = Transformer(PLAIN)
    initialise(model, replace(PLAIN, init_std=0.2), 1)
    return model


def test_fp32_logits_and_gradients_equal_the_cpus() -> None:
    gradients = []
    for device in ("cpu", "cuda"):
        model = built().to(device)
        logits = model(TOKENS.to(device))
        logits.square().mean().backward()
        gradients.append([logits, *(value.grad for value in model.parameters())])
    for one, other in zip(*gradients, strict=True):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other.cpu(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_is_close_with_recompute(dtype: torch.dtype) -> None:
    expected = built()(TOKENS)
    model = built().to("cuda", dtype)
    model.recompute = 2
    logits = model(TOKENS.cuda())
    logits.float().square().mean().backward()
    assert logits.dtype == dtype
    assert (logits.float().cpu() - expected).abs().mean() < 0.02 * expected.std()
    assert all(bool(value.grad.isfinite().all()) for value in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("length", [24, 21])
def test_documents_of_a_row_are_computed_as_if_alone(dtype: torch.dtype, length: int) -> None:
    documents = torch.tensor([[0] * 5 + [1] * 3 + [2] * (length - 8), [0] * length])
    places = torch.tensor([[*range(5), *range(3), *range(length - 8)], [*range(length)]])
    model = built().to("cuda", dtype)
    model.recompute = 1
    there = TOKENS[:, :length].cuda()
    hidden = model.hidden(there, documents=documents.cuda(), positions=places.int().cuda())
    found = hidden @ model.output_matrix.T
    found.float().square().mean().backward()
    assert all(bool(value.grad.isfinite().all()) for value in model.parameters())
    with torch.no_grad():
        apart = [torch.cat([model(one) for one in there[:1].split([5, 3, length - 8], 1)], 1)]
        expected = torch.cat([*apart, model(there[1:])])
    bound = 1e-4 if dtype == torch.float32 else 0.02 * float(expected.float().std())
    assert float((found.detach() - expected).float().abs().mean()) < bound


@pytest.mark.parametrize("cached", [True, False])
def test_greedy_text_is_the_cpus(cached: bool) -> None:
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    expected = generate(built(), prompts, maximum_tokens=12, end=33)
    assert generate(built().cuda(), prompts, maximum_tokens=12, end=33, cached=cached) == expected
