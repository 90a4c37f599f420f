"""The kernels on a GPU: against references, in CUDA graphs, past 2^31 elements."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neox.ops import (
    cross_entropy,
    dropout,
    feed_forward,
    gelu,
    glu,
    layer_norm,
    rotary,
    softmax,
    trial,
)
from neox.ops.library import installed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
MORE_THAN_INT32 = (1 << 31) + 4096
ops = torch.ops.neox


@pytest.fixture
def make(device: torch.device) -> trial.Maker:
    torch.cuda.empty_cache()
    return trial.Maker(torch.bfloat16, device)


def test_every_case_equals_its_reference(device: torch.device) -> None:
    said: list[str] = []
    assert trial.report(said.append, device), "\n".join(said)
    hopper = torch.cuda.get_device_capability(device) == (9, 0)
    assert len(said) == 45 + 4 * hopper  # fifteen operations in three formats, two in two


def test_a_graph_replayed_twice_draws_two_masks(make: trial.Maker) -> None:
    x, residual = make(64, 1024), torch.zeros(64, 1024, dtype=make.dtype, device=make.device)
    key = dropout.dropout_key(3, make.device)
    out = torch.empty_like(x)

    def step() -> None:
        out.copy_(dropout.dropout_add(x, None, residual, dropout.next_key(key), 0.5))

    step()  # warm
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    masks = []
    for _ in range(2):
        graph.replay()
        masks.append((out != 0).clone())
    assert (masks[0] != masks[1]).float().mean().item() == pytest.approx(0.5, abs=0.02)
    for mask in masks:
        assert mask.float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_adamw_in_a_graph_reads_what_the_device_says(make: trial.Maker) -> None:
    weight = make(1000, dtype=torch.float32)
    moments = [torch.zeros_like(weight), torch.zeros_like(weight)]
    rate, step, factor, bad = (torch.tensor(v, device=make.device) for v in (0.0, 1.0, 1.0, 0.0))
    gradient = torch.ones_like(weight)

    def update() -> None:
        ops.adamw_([weight], [], [gradient], [moments[0]], [moments[1]], rate, step, factor, bad,
                   0.9, 0.95, 1e-8, 0.0, True)  # fmt: skip

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    before = weight.clone()
    graph.replay()
    assert torch.equal(weight, before)  # the rate was 0
    rate.fill_(0.5)
    graph.replay()
    moved = weight.clone()
    assert not torch.equal(moved, before)
    bad.fill_(1.0)
    graph.replay()
    assert torch.equal(weight, moved)


def test_the_residual_stream_under_torch_compile(make: trial.Maker) -> None:
    """An operation is one node to the compiler: no graph break, the same numbers."""
    x, w, c = make(33, 768), make(768), make(768)

    def run(x: Tensor) -> Tensor:
        return gelu.bias_gelu(layer_norm.layer_norm(x, w, c, 1e-5), c, "gelu_tanh") * 2

    got = torch.compile(run, fullgraph=True)(x)
    torch.testing.assert_close(got, run(x), rtol=2e-2, atol=2e-2)


# --- beyond 2^31 elements: the last rows are looked at -------------------------------------------


def alike(got: Tensor, expected: Tensor) -> None:
    error = trial.relative_error(got.detach(), expected.detach().cpu())
    assert error < trial.TOLERANCE[torch.bfloat16], error


def large(make: trial.Maker, *shape: int) -> Tensor:
    """bf16, random by a short pattern: drawing so many numbers in fp32 would not fit."""
    row = make(1 << 20)
    count = torch.Size(shape).numel()
    return row.repeat(-(-count // row.numel()))[:count].view(shape)


def test_norm_of_many(make: trial.Maker) -> None:
    x, w, c = large(make, MORE_THAN_INT32 // 4096, 4096), make(4096), make(4096)
    _, y, _, mean, rstd = ops.norm(x, [], [], [w], [c], 1e-5, False)
    alike(y[-3:], layer_norm.layer_norm_reference(x[-3:], w, c, 1e-5))
    dx = ops.norm_backward([y], None, x, [w], mean, rstd, True, False)[0]
    short = layer_norm.norm_backward_reference(
        [y[-3:]], None, x[-3:], [w], mean[-3:], rstd[-3:], True, False
    )
    alike(dx[-3:], short[0])


def test_gemm_gelu_of_many(make: trial.Maker) -> None:
    if not installed("gemm_gelu", make(1)):
        pytest.skip("only sm_90a has it")
    x, up, bias = large(make, MORE_THAN_INT32 // 256, 64), make(256, 64) / 8, make(256)
    y, slope = ops.gemm_gelu(x, up, bias, "gelu_exact")
    expected = feed_forward.gemm_gelu_reference(x[-3:], up, bias, "gelu_exact")
    alike(y[-3:], expected[0])
    alike(slope[-3:], expected[1])
    down = make(64, 256)
    da, _ = ops.gemm_gelu_backward(x, down, slope, True)
    short = feed_forward.gemm_gelu_backward_reference(x[-3:], down, slope[-3:], False)
    alike(da[-3:], short[0])


@pytest.mark.parametrize("columns", [8, 4096])
def test_pointwise_on_many(make: trial.Maker, columns: int) -> None:
    x, bias = large(make, MORE_THAN_INT32 // columns, columns), make(columns)
    tail = x[-3:]
    y = ops.bias_gelu(x, bias, "gelu_tanh")
    alike(y[-3:], gelu.bias_gelu_reference(tail, bias, "gelu_tanh"))
    dx, _ = ops.bias_gelu_backward(y, x, bias, "gelu_tanh")
    expected, _ = gelu.bias_gelu_backward_reference(y[-3:], tail, bias, "gelu_tanh")
    alike(dx[-3:], expected)
    del dx, y
    alike(ops.glu(x, "silu")[-3:], glu.glu_reference(tail, "silu"))
    key = torch.tensor([1, 2], device=make.device)
    y = ops.dropout_add(x, bias, x, key, 0.25)
    alive = dropout.dropout_add_backward_reference(tail, key, 0.25, False)[0].numel()
    assert alive == tail.numel()
    changed = (y[-3:].float() - tail.float()).abs() > 0
    assert 0.4 < changed.float().mean().item() <= 1.0
    grad, _ = ops.dropout_add_backward(x, key, 0.25, True)
    assert torch.equal(grad[-3:] != 0, ops.dropout_add_backward(x, key, 0.25, True)[0][-3:] != 0)


def test_softmax_of_many(make: trial.Maker) -> None:
    scores = large(make, 1, 1, MORE_THAN_INT32 // 32_768 + 1, 32_768)
    out = ops.softmax(scores, None, 0.5, False)
    alike(out[..., -3:, :], softmax.softmax_reference(scores[..., -3:, :], None, 0.5, False))
    back = ops.softmax_backward(scores, out, 0.5, False)
    short = (scores[..., -3:, :], out[..., -3:, :])
    alike(back[..., -3:, :], softmax.softmax_backward_reference(*short, 0.5, False))


def test_loss_of_many(make: trial.Maker) -> None:
    logits = large(make, MORE_THAN_INT32 // 50_304 + 1, 50_304)
    targets = make.below(50_304, logits.shape[0])
    weights = torch.ones(logits.shape[0], device=make.device)
    short = logits[-3:].clone()
    loss, _ = cross_entropy.cross_entropy_reference_(short, targets[-3:], weights[-3:], 0.0)
    got, _ = ops.cross_entropy_(logits, targets, weights, 0.0)
    alike(got[-3:], loss)
    alike(logits[-3:], short)


def test_sums_of_many(make: trial.Maker) -> None:
    x = large(make, MORE_THAN_INT32 // 4096, 4096)
    total = ops.scaled_sum([x, x], torch.tensor(0.5, device=make.device))
    assert torch.equal(total, x)  # halves of doubles are exact
    expected = torch.stack([part.double().square().sum() for part in x.split(8192)]).sum()
    torch.testing.assert_close(ops.squared_norm([x]), expected, rtol=1e-7, atol=0)


def test_embedding_of_many(make: trial.Maker) -> None:
    dy = large(make, MORE_THAN_INT32 // 4096, 4096)
    place = torch.arange(len(dy), device=make.device)
    table = ops.embedding_backward(dy, place // 2, place, len(dy) // 2 + 1)
    assert len(dy) % 2 == 1  # so that the last token stands once
    alike(table[-1:], dy[-1:])
    alike(table[-2], dy[-3:-1].float().sum(dim=0).to(dy.dtype))
    del table
    last = len(dy) - 1
    table = ops.embedding_backward(dy[:2], place[[3, last]], place[[1, 0]], len(dy))
    assert torch.equal(table[[3, last]], dy[[1, 0]])
    assert not table[:3].any()
    assert not table[4:last].any()


def test_heads_of_many(make: trial.Maker) -> None:
    tokens = MORE_THAN_INT32 // (16 * 3 * 128) + 1
    mixed = large(make, 1, tokens, 16, 3, 128)
    angle = make(1, tokens, 16, dtype=torch.float32)
    cos, sin = angle.cos(), angle.sin()
    short = mixed[:, -3:].clone()
    rotary.rotate_reference_(short, cos[:, -3:], sin[:, -3:], 2)
    ops.rotate_(mixed, cos, sin, 2)
    alike(mixed[:, -3:], short)
    parts = [part.transpose(1, 2) for part in mixed.unbind(dim=3)]
    joined, _ = ops.join_heads(*parts, cos, sin, True)
    ends = [part[:, :, -3:] for part in parts]
    expected = rotary.join_reference(*ends, cos[:, -3:], sin[:, -3:], False)[0]
    alike(joined[:, -3:], expected)
    ops.turn_back_(mixed, cos, sin, True)
    alike(mixed[:, -3:], expected)


def test_heads_wider_than_the_kernel_takes(make: trial.Maker) -> None:
    mixed, half = make(1, 5, 2, 3, 288), rotary.LONGEST_HALF + 8
    angle = make(1, 5, half, dtype=torch.float32)
    short = mixed.clone()
    rotary.rotate_reference_(short, angle.cos(), angle.sin(), 2)
    with pytest.raises(RuntimeError, match="kernel rotary"):
        ops.rotate_(mixed.clone(), angle.cos(), angle.sin(), 2)
    rotary.rotate_(mixed, angle.cos(), angle.sin())
    alike(mixed, short)


def test_adamw_of_many(make: trial.Maker) -> None:
    if torch.cuda.get_device_properties(make.device).total_memory < 60e9:
        pytest.skip("needs 40 GB")
    lists = [[torch.ones(MORE_THAN_INT32, device=make.device)] for _ in range(2)]
    weights, gradients = lists
    moments = [[torch.zeros_like(weights[0])] for _ in range(2)]
    copies = [torch.zeros(MORE_THAN_INT32, dtype=torch.bfloat16, device=make.device)]
    scalars = [torch.tensor(value, device=make.device) for value in (0.5, 1.0, 1.0, 0.0)]
    update: Callable[..., None] = ops.adamw_
    update(weights, copies, gradients, *moments, *scalars, 0.9, 0.95, 1e-8, 0.0, True)
    expected = torch.tensor(0.5)  # the first step is the rate itself
    for one in (weights[0], copies[0]):
        for part in (one[:9], one[-9:]):
            torch.testing.assert_close(part.float().cpu(), expected.expand(9))
