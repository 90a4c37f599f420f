"""Bytes of the elementwise stages, against a count by hand of what each pass touches."""

from dataclasses import replace

from neox.models.spec import ModelSpec
from neox.models.traffic import backward_rows, forward_rows, loss_bytes_moved
from tests.models.variants import PLAIN

# heads of 64 of which a quarter turns, both branches from the same x, biases everywhere
PYTHIA = ModelSpec(
    num_layers=2,
    hidden_size=256,
    num_attention_heads=4,
    ffn_size=1024,
    vocab_size=512,
    max_positions=64,
    rotary_dims=16,
    parallel_residual=True,
)


def test_a_layer_of_pythia() -> None:
    assert forward_rows(PYTHIA) == {
        "norms": 1 + 2,  # x, and a result for each branch
        "residual": 3 + 1,  # x and both branches, their sum
        "rotary": 2 * (0.25 + 0.25),  # a quarter of query and of key, read and written
        "activation": 4 + 4,
    }
    assert backward_rows(PYTHIA) == {
        "norms": 2 + 3,  # both gradients, x, what flows by, the result
        "rotary": 3 + (0.25 + 0.25),  # all three for the bias's sum, what turns is written
        "activation": 4 + 4 + 4,
        "bias": 1 + 1,  # of what comes out of attention and of the feed-forward layer
    }


def test_a_sequential_layer_without_biases_that_turns_whole_heads() -> None:
    spec = replace(
        PYTHIA, parallel_residual=False, attention_bias=False, mlp_bias=False, rotary_dims=64
    )
    assert forward_rows(spec)["residual"] == 2 * (2 + 1)  # twice x and a branch
    assert forward_rows(spec)["norms"] == 2 * (1 + 1)
    assert forward_rows(spec)["rotary"] == 4
    assert backward_rows(spec) == {
        "norms": 2 * (1 + 3),
        "rotary": 4,  # no sum: query and key, read and written
        "activation": 12,
        "bias": 0,
    }


def test_nothing_turns_without_positions() -> None:
    spec = replace(PLAIN, rotary_dims=0)
    assert forward_rows(spec)["rotary"] == 0
    assert backward_rows(spec)["rotary"] == 3  # the bias's sum alone


def test_logits_are_read_once_and_replaced() -> None:
    assert loss_bytes_moved(PYTHIA, 10, 2) == 2 * 10 * 512 * 2
