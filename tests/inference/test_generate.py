"""Generation: cached equals uncached, batches equal single prompts, the ends are right."""

from dataclasses import replace

import pytest
import torch

from neox.inference.generate import Continuation, GenerationError, generate
from neox.inference.sampling import Sampling, choose
from neox.models.init import initialise
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from tests.models.variants import PLAIN, VARIANTS

PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13]]
SAMPLED = Sampling(temperature=0.8, top_k=20, top_p=0.9)


def built(spec: ModelSpec = PLAIN) -> Transformer:
    model = Transformer(spec)
    initialise(model, replace(spec, init_std=0.5), 3)
    return model


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED], ids=["greedy", "sampled"])
def test_cached_equals_uncached_for_ragged_prompts(spec: ModelSpec, sampling: Sampling) -> None:
    model = built(spec)
    cached, uncached = (
        generate(model, PROMPTS, sampling=sampling, maximum_tokens=12, end=33, seed=4, cached=way)
        for way in (True, False)
    )
    assert cached == uncached


def test_a_batch_equals_its_prompts_alone() -> None:
    model = built()
    alone = [generate(model, [prompt], maximum_tokens=10, end=5)[0] for prompt in PROMPTS]
    assert generate(model, PROMPTS, maximum_tokens=10, end=5) == alone
    assert len({each.tokens for each in alone}) > 1


def test_greedy_is_the_argmax_step_by_step() -> None:
    model = built().eval()
    text = list(PROMPTS[0])
    for _ in range(8):
        text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    assert generate(model, PROMPTS[:1], maximum_tokens=8)[0].tokens == tuple(text[3:])


def test_rows_end_by_themselves() -> None:
    """A row that meets the end token stops there and the others go on unchanged."""
    model = built()
    free = generate(model, PROMPTS, maximum_tokens=10)
    end = free[2].tokens[1]
    stopped = generate(model, PROMPTS, maximum_tokens=10, end=end)
    for one, other in zip(free, stopped, strict=True):
        if end in one.tokens:
            at = one.tokens.index(end)
            assert other == Continuation(tokens=one.tokens[:at], finished=True)
        else:
            assert other == one
    assert stopped[2].finished


@pytest.mark.parametrize("cached", [True, False])
def test_the_models_positions_end_the_text(cached: bool) -> None:
    long = [list(range(22)), [1]]
    texts = generate(built(), long, maximum_tokens=30, cached=cached)
    assert [len(each.tokens) for each in texts] == [2, 23]
    assert not any(each.finished for each in texts)


def test_padding_rows_of_the_vocabulary_are_never_chosen() -> None:
    for sampling in (Sampling(), Sampling(temperature=3.0)):
        texts = generate(
            built(), PROMPTS, sampling=sampling, maximum_tokens=12, vocab_size=7, seed=1
        )
        assert all(token < 7 for text in texts for token in text.tokens)


def test_a_seed_repeats_and_another_differs() -> None:
    model = built()
    one, same, other = (
        generate(model, PROMPTS, sampling=Sampling(temperature=1.0), seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_the_training_mode_comes_back() -> None:
    model = built().train()
    generate(model, [[1]], maximum_tokens=1)
    assert model.training


@pytest.mark.parametrize(
    ("prompt", "message"),
    [([], "prompt 2 is empty"), ([0] * 24, "24 tokens"), ([64], "outside the model's vocabulary")],
)
def test_prompts_that_do_not_fit(prompt: list[int], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        generate(built(), [[1], prompt])


# --- sampling

LOGITS = torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05]]).log()


def shares(sampling: Sampling) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    chosen = choose(LOGITS.expand(20_000, -1), sampling, generator)
    counts: list[float] = (chosen.bincount(minlength=5) / 20_000).tolist()
    return counts


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [1, 0, 0, 0, 0]),
        (Sampling(temperature=1.0), [0.5, 0.2, 0.15, 0.1, 0.05]),
        (Sampling(top_k=2), [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
        (Sampling(top_k=99, temperature=1.0), [0.5, 0.2, 0.15, 0.1, 0.05]),
        (Sampling(top_p=0.6), [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
        (Sampling(top_p=0.01), [1, 0, 0, 0, 0]),
        (Sampling(top_p=1.0), [0.5, 0.2, 0.15, 0.1, 0.05]),
        # squared and made to sum to 1 again
        (Sampling(temperature=0.5), [0.769, 0.123, 0.069, 0.031, 0.008]),
        (Sampling(top_k=3, top_p=0.7), [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
    ],
)
def test_shares(sampling: Sampling, expected: list[float]) -> None:
    got = shares(sampling)
    assert got == pytest.approx(expected, abs=0.012)
    assert [share == 0 for share in got] == [share == 0 for share in expected]


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 1.5}])
def test_values_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
