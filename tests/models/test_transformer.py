"""The transformer's parameters, causality, recompute, dropout and dtype."""

from dataclasses import replace

import pytest
import torch

from neox.models.cache import KeyValueCache
from neox.models.count import (
    checkpoint_bytes,
    flop_parameters,
    flops_per_token,
    parameters,
)
from neox.models.init import initialise
from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from tests.models.variants import PLAIN, VARIANTS

each_variant = pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())


def built(spec: ModelSpec, **options: int) -> Transformer:
    model = Transformer(spec, **options)
    initialise(model, replace(spec, init_std=0.2), 1)
    return model


def tokens(spec: ModelSpec, batch: int = 2, length: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(spec.vocab_size, (batch, length), generator=generator)


@each_variant
def test_names_shapes_and_counts_are_those_of_the_built_model(spec: ModelSpec) -> None:
    model = Transformer(spec)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert shapes == parameter_shapes(spec)
    total = sum(value.numel() for value in model.parameters())
    assert parameters(spec).total == total
    assert checkpoint_bytes(spec) == 12 * total


def test_counts_of_the_released_20b() -> None:
    spec = ModelSpec(
        num_layers=44,
        hidden_size=6144,
        num_attention_heads=64,
        ffn_size=24576,
        vocab_size=50432,
        max_positions=2048,
        rotary_dims=24,
        parallel_residual=True,
        tied_head=False,
    )
    # table 1 of Black et al. 2022, arXiv:2204.06745
    assert parameters(spec).total == 20_554_567_680
    assert flop_parameters(spec) == 20_554_567_680 - 50432 * 6144


def test_flops_conventions() -> None:
    tied, untied = PLAIN, replace(PLAIN, tied_head=False)
    assert flop_parameters(tied) == flop_parameters(untied) == parameters(tied).total
    flops = flops_per_token(PLAIN, 16)
    attention = 12 * 3 * 32 * 16
    assert flops.full == 6 * flop_parameters(PLAIN) + attention
    assert flops.causal == flops.full - attention / 2


@each_variant
def test_no_token_sees_what_follows(spec: ModelSpec) -> None:
    model = built(spec)
    before = tokens(spec)
    after = before.clone()
    after[:, 13:] = (after[:, 13:] + 1) % spec.vocab_size
    first, second = model(before), model(after)
    assert torch.equal(first[:, :13], second[:, :13])
    assert not torch.allclose(first[:, 13:], second[:, 13:])


def test_positions_count_only_through_rotation() -> None:
    """Without rotation the last logits do not know the order of the earlier tokens."""
    swapped = tokens(PLAIN)
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    shallow = {"num_layers": 1}
    still = built(replace(PLAIN, rotary_dims=0, **shallow))
    turned = built(replace(PLAIN, **shallow))
    assert torch.allclose(still(tokens(PLAIN))[:, -1], still(swapped)[:, -1], atol=1e-5)
    assert not torch.allclose(turned(tokens(PLAIN))[:, -1], turned(swapped)[:, -1], atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_recompute_changes_no_bit_even_with_dropout(chunk: int) -> None:
    spec = replace(PLAIN, hidden_dropout=0.2, attention_dropout=0.2)
    gradients = []
    for recompute in (0, chunk):
        model = built(spec, recompute=recompute)
        torch.manual_seed(3)
        model(tokens(spec)).square().mean().backward()
        gradients.append([value.grad for value in model.parameters()])
    for kept, again in zip(*gradients, strict=True):
        assert kept is not None and again is not None
        assert torch.equal(kept, again)


def test_dropout_acts_in_training_alone() -> None:
    for field in ("hidden_dropout", "attention_dropout"):
        model = built(replace(PLAIN, **{field: 0.3}))  # type: ignore[arg-type]
        assert not torch.equal(model(tokens(PLAIN)), model(tokens(PLAIN)))
        model.eval()
        assert torch.equal(model(tokens(PLAIN)), built(PLAIN)(tokens(PLAIN)))


def test_bf16_runs_close_to_fp32_and_keeps_its_table() -> None:
    wide, narrow = built(PLAIN), built(PLAIN).bfloat16()
    expected, got = wide(tokens(PLAIN)), narrow(tokens(PLAIN))
    assert got.dtype == torch.bfloat16
    assert narrow._table is not None and narrow._table[0].dtype == torch.float32
    assert (expected - got).abs().mean() < 0.02 * expected.std()


@pytest.mark.parametrize("block", [1, 8, 128])
@each_variant
def test_cached_logits_equal_uncached_in_any_portions(
    spec: ModelSpec, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neox.models.cache.BLOCK", block)
    model = built(spec).eval()
    expected = model(tokens(spec))
    cache = KeyValueCache(
        spec, batch=2, capacity=24, dtype=torch.float32, device=torch.device("cpu")
    )
    parts = [model(part, cache) for part in tokens(spec).split([5, 1, 1, 9, 8], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, atol=1e-5, rtol=1e-5)


def test_a_ragged_cache_equals_each_row_alone() -> None:
    model = built(PLAIN).eval()
    cache = KeyValueCache(
        PLAIN, batch=2, capacity=24, dtype=torch.float32, device=torch.device("cpu")
    )
    both = tokens(PLAIN, length=12)
    model(both, cache)
    cache.keep([12, 4])
    next_tokens = torch.tensor([[5], [9]])
    got = model(next_tokens, cache)[:, 0]
    for row, length in enumerate((12, 4)):
        alone = torch.cat([both[row, :length], next_tokens[row]])[None]
        torch.testing.assert_close(got[row], model(alone)[0, -1], atol=1e-5, rtol=1e-5)
