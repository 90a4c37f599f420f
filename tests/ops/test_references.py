"""Each op equals its plain arithmetic, forward and backward."""

import math

import pytest
import torch
from torch.nn import functional as F

from neox.ops import chunks
from neox.ops.attention import attention, attention_reference
from neox.ops.embedding import embedding
from neox.ops.gelu import Form, gelu, gelu_reference
from neox.ops.layer_norm import layer_norm, layer_norm_reference
from neox.ops.linear_cross_entropy import linear_cross_entropy
from neox.ops.rotary import rotary_table, rotate_, split_heads


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_alike(got: torch.Tensor, expected: torch.Tensor, *inputs: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(got)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked: bool) -> None:
    query, key, value = (random(2, 3, 9, 8, seed=seed) for seed in range(3))
    visible = None
    if masked:
        visible = torch.rand(2, 1, 9, 9) < 0.5
        visible[..., 0] = True
    assert_alike(
        attention(query, key, value, visible=visible),
        attention_reference(query, key, value, visible=visible),
        query,
        key,
        value,
    )


@pytest.mark.parametrize("form", ["gelu_exact", "gelu_tanh"])
def test_gelu(form: Form) -> None:
    x = random(100)
    assert_alike(gelu(x, form), gelu_reference(x, form), x)


def test_the_two_gelus_differ() -> None:
    x = random(100)
    assert (gelu(x, "gelu_exact") - gelu(x, "gelu_tanh")).abs().max() > 1e-4


def test_layer_norm() -> None:
    x, weight, bias = random(4, 6, 16), random(16, seed=1), random(16, seed=2)
    assert_alike(
        layer_norm(x, weight, bias, 1e-2), layer_norm_reference(x, weight, bias, 1e-2),
        x, weight, bias,
    )  # fmt: skip


@pytest.mark.parametrize("dims", [2, 4, 8])
def test_rotary_is_a_complex_rotation(dims: int) -> None:
    """Pair (i, i + dims/2) as a complex number times e^(i position base^(-2i/dims))."""
    x = random(1, 5, 1, 3, 8).detach()
    cos, sin = rotary_table(5, dims, 100.0, torch.device("cpu"))
    mixed = x.clone()
    rotate_(mixed, cos[None], sin[None])
    for position in range(5):
        for part in (0, 1):  # query and key
            before, after = x[0, position, 0, part], mixed[0, position, 0, part]
            for pair in range(dims // 2):
                angle = position * 100.0 ** (-2 * pair / dims)
                z = complex(before[pair], before[pair + dims // 2])
                z *= complex(math.cos(angle), math.sin(angle))
                assert after[pair].item() == pytest.approx(z.real, abs=1e-6)
                assert after[pair + dims // 2].item() == pytest.approx(z.imag, abs=1e-6)
    assert torch.equal(mixed[..., dims:], x[..., dims:])
    assert torch.equal(mixed[..., 2, :], x[..., 2, :])  # value does not turn


def test_split_heads_in_fp64() -> None:
    """Gradients of the product and of its bias by finite differences, positions of their own."""
    batch, length, heads, dims = 2, 3, 2, 6
    table = rotary_table(7, 4, 100.0, torch.device("cpu"))
    positions = torch.tensor([[0, 1, 2], [4, 5, 6]])
    cos, sin = (part.double()[positions] for part in table)

    def heads_of(x: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mixed = (x + bias.detach()).view(batch, length, heads, 3, dims)
        return tuple(part * 1 for part in split_heads(mixed, bias, (cos, sin)))

    x = random(batch, length, heads * 3 * dims).double().detach().requires_grad_()
    bias = random(heads * 3 * dims, seed=1).double().detach().requires_grad_()
    assert torch.autograd.gradcheck(heads_of, (x, bias))


def test_linear_cross_entropy_in_fp64(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = random(7, 6).double().detach().requires_grad_()
    matrix = random(11, 6, seed=1).double().detach().requires_grad_()
    targets, weights = torch.randint(11, (7,)), torch.rand(7, dtype=torch.float64)

    def loss(hidden: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return linear_cross_entropy(hidden, matrix, targets, weights)

    expected = torch.nn.functional.cross_entropy(hidden @ matrix.t(), targets, reduction="none")
    whole = loss(hidden, matrix)
    assert torch.allclose(whole, (expected * weights).sum())
    assert torch.autograd.gradcheck(loss, (hidden, matrix))
    row = 11 * hidden.element_size()
    for rows in (3, 1):  # three parts, and more than are added up at once
        monkeypatch.setattr(chunks, "LOGITS_BYTES", rows * row)
        assert chunks.chunk_rows(7, 11, hidden.element_size()) == rows
        assert torch.allclose(loss(hidden, matrix), whole)
        assert torch.autograd.gradcheck(loss, (hidden, matrix))


@pytest.mark.parametrize("rows", [7, 3, 1])
def test_linear_cross_entropy_by_the_operation(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that kernels go: the matrix's gradient is added up and scaled by an operation."""
    hidden, matrix = random(7, 6), random(11, 6, seed=1)
    targets, weights = torch.randint(11, (7,)), torch.rand(7)
    expected = F.cross_entropy(hidden @ matrix.t(), targets, reduction="none") * weights
    monkeypatch.setattr("neox.ops.scaled_sum.installed", lambda *_: True)
    monkeypatch.setattr(chunks, "LOGITS_BYTES", rows * 11 * hidden.element_size())
    loss = linear_cross_entropy(hidden, matrix, targets, weights)
    assert_alike(loss, expected.sum(), hidden, matrix)


def test_embedding_by_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tokens stand often, some nowhere."""
    monkeypatch.setattr("neox.ops.embedding.installed", lambda *_: True)
    weight, tokens = random(9, 4), torch.tensor([[5, 0, 5], [5, 8, 0]])
    rows = embedding(tokens, weight)
    assert type(rows.grad_fn).__name__ == "_EmbeddingBackward"
    assert_alike(rows, F.embedding(tokens, weight), weight)
