"""Initial weights: the formulas, and that name and seed alone decide them."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch

from neox.models.init import draw, initialise, standard_deviation
from neox.models.spec import InitMethod, ModelSpec
from neox.models.transformer import Transformer
from tests.models.variants import PLAIN, VARIANTS

METHODS: tuple[InitMethod, ...] = get_args(InitMethod)
WIDE = replace(PLAIN, hidden_size=256, ffn_size=512)


@pytest.mark.parametrize("method", METHODS)
def test_spread_is_the_formulas(method: InitMethod) -> None:
    spec = replace(WIDE, init_method=method)
    drawn = draw("layers.0.mlp.linear1.weight", (512, 256), spec, 1)
    expected = standard_deviation(method, (512, 256), spec)
    assert drawn.std().item() == pytest.approx(expected, rel=0.01)
    assert abs(drawn.mean().item()) < 0.01 * expected * 3


def test_formulas_by_hand() -> None:
    """GPT-NeoX's: L = 3 layers, d = 256 wide, std 0.02, a matrix of 512 x 256."""
    by_hand = {
        "normal": 0.02,
        "scaled_normal": 0.008164966,
        "single_residual_scaled_normal": 0.011547005,
        "wang_init": 0.041666667,
        "small_init": 0.039528471,
        "xavier_normal": 0.051031036,
    }
    for method in METHODS:
        if method in by_hand:
            got = standard_deviation(method, (512, 256), WIDE)
            assert got == pytest.approx(by_hand[method], rel=1e-6)


@pytest.mark.parametrize("shape", [(64, 32), (32, 64)])
@pytest.mark.parametrize("method", ["orthogonal", "scaled_orthogonal"])
def test_orthogonal_matrices_are(method: InitMethod, shape: tuple[int, int]) -> None:
    drawn = draw("layers.1.mlp.linear1.weight", shape, replace(PLAIN, init_method=method), 1)
    few = drawn if shape[0] < shape[1] else drawn.T
    gain = math.sqrt(2 / (3 if method == "scaled_orthogonal" else 1))
    torch.testing.assert_close(few @ few.T, gain**2 * torch.eye(32), atol=1e-5, rtol=0)


def test_uniform_stays_in_its_bound() -> None:
    spec = replace(PLAIN, init_method="xavier_uniform")
    drawn = draw("head.weight", (64, 32), spec, 1)
    bound = math.sqrt(6 / 96)
    assert 0.99 * bound < drawn.abs().max() <= bound


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_parameter_is_filled_by_name(spec: ModelSpec) -> None:
    model = Transformer(spec)
    for value in model.parameters():
        torch.nn.init.constant_(value, math.nan)
    initialise(model, spec, 5)
    for name, value in model.named_parameters():
        assert torch.equal(value, draw(name, tuple(value.shape), spec, 5))
        if name.endswith(".bias"):
            assert not value.any()
        elif "norm" in name:
            assert bool((value == 1).all())


def test_output_projections_have_their_own_method() -> None:
    spec = replace(WIDE, init_method="normal", output_init_method="wang_init")
    for name, deviation in (
        ("layers.0.attention.dense.weight", 2 / 3 / 16),
        ("layers.0.mlp.linear2.weight", 2 / 3 / 16),
        ("layers.0.mlp.linear1.weight", 0.02),
        ("layers.0.attention.query_key_value.weight", 0.02),
        ("embedding.weight", 0.02),
        ("head.weight", 0.02),
    ):
        drawn = draw(name, (256, 256), spec, 1)
        assert drawn.std().item() == pytest.approx(deviation, rel=0.02)


def test_names_and_seeds_are_independent_and_repeatable() -> None:
    torch.manual_seed(99)
    state = torch.get_rng_state()
    one = draw("layers.0.mlp.linear1.weight", (64, 64), PLAIN, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, draw("layers.0.mlp.linear1.weight", (64, 64), PLAIN, 1))
    for name, seed in (("layers.1.mlp.linear1.weight", 1), ("layers.0.mlp.linear1.weight", 2)):
        other = draw(name, (64, 64), PLAIN, seed)
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation.item()) < 0.06


def test_golden_values() -> None:
    """Written down once: a change here is a change of every run's initial weights."""
    drawn = draw("layers.0.mlp.linear1.weight", (96, 32), PLAIN, 1234)
    golden = torch.tensor([0.0215280224, -0.0162091479, -0.0120754624, -0.0149241099])
    # not bit for bit: torch draws normal numbers with or without AVX2
    torch.testing.assert_close(drawn[0, :4], golden, atol=1e-7, rtol=1e-5)
