"""The operations on a CPU: what the kernels are compared with is right, and torch can use it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neox.ops import adamw, cross_entropy, dropout, install, layer_norm, library, softmax, trial
from neox.ops.residual import Added

ops = torch.ops.neox


def wide(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def key(seed: int = 3, offset: int = 1) -> Tensor:
    return torch.tensor([seed, offset])


# operation -> a call of it in tensors that have gradients; what else it gives is left out
CALLS: dict[str, tuple[Callable[..., object], tuple[Tensor, ...]]] = {
    "norm": (lambda x, w, c: ops.norm(x, [], [], [w], [c], 1e-3, False)[1],
             (wide(3, 2, 5), wide(5), wide(5, seed=1))),
    "RMSNorm": (lambda x, w: ops.norm(x, [], [], [w], [], 1e-3, True)[1], (wide(3, 5), wide(5))),
    "sum and two norms": (
        lambda x, a, b, w, c, w2, c2: ops.norm(x, [a, b], [], [w, w2], [c, c2], 1e-3, False)[:3],
        (wide(3, 5), wide(3, 5, seed=1), wide(3, 5, seed=2), wide(5), wide(5), wide(5), wide(5))),
    "a bias in the sum": (
        lambda x, a, h, w, c: ops.norm(x, [a + h.detach()], [h], [w], [c], 1e-3, False)[:2],
        (wide(3, 2, 5), wide(3, 2, 5, seed=1), wide(5), wide(5, seed=1), wide(5, seed=2))),
    "a bias, recorded": (
        lambda a, h: Added(a + h.detach(), h).recorded() ** 2, (wide(3, 2, 5), wide(5))),
    "gelu_exact": (lambda x, b: ops.bias_gelu(x, b, "gelu_exact"), (wide(4, 5), wide(5))),
    "gelu_tanh": (lambda x, b: ops.bias_gelu(x, b, "gelu_tanh"), (wide(4, 5), wide(5))),
    "SwiGLU": (lambda x: ops.glu(x, "silu"), (wide(4, 6),)),
    "GeGLU": (lambda x: ops.glu(x, "gelu_exact"), (wide(4, 6),)),
    "GeGLU tanh": (lambda x: ops.glu(x, "gelu_tanh"), (wide(4, 6),)),
    "ReGLU": (lambda x: ops.glu(x, "relu"), (wide(4, 6),)),
    "dropout": (lambda x, b, r: ops.dropout_add(x, b, r, key(), 0.4),
                (wide(4, 11), wide(11), wide(4, 11, seed=1))),
    "softmax": (lambda x: ops.softmax(x, None, 0.7, False), (wide(1, 2, 3, 5),)),
    "causal softmax": (lambda x: ops.softmax(x, None, 0.7, True), (wide(1, 2, 3, 5),)),
    "masked softmax": (
        lambda x: ops.softmax(x, torch.tensor([[True, False, True], [False] * 3])[None, None], 1.0,
                              False), (wide(1, 2, 2, 3),)),
}  # fmt: skip


ANGLE = torch.arange(6.0, dtype=torch.float64).view(1, 3, 2)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_by_finite_differences(name: str) -> None:
    call, inputs = CALLS[name]
    assert torch.autograd.gradcheck(call, inputs)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (ops.norm, (wide(4, 8), [wide(4, 8)], [wide(8)], [wide(8)], [wide(8)], 1e-5, False)),
        (ops.bias_gelu, (wide(4, 8), wide(8), "gelu_tanh")),
        (ops.glu, (wide(4, 8), "silu")),
        (ops.dropout_add, (wide(4, 8), wide(8), wide(4, 8), key(), 0.4)),
        (ops.softmax, (wide(1, 2, 3, 5), None, 0.7, True)),
        (ops.shard_statistics, (wide(4, 8).detach(), torch.arange(4), 2)),
        (ops.turn_back_, (wide(1, 3, 2, 3, 8).detach(), ANGLE.cos(), ANGLE.sin(), True)),
        (ops.cross_entropy_, (wide(4, 8).detach(), torch.arange(4), torch.ones(4).double(), 0.1)),
    ],
)
def test_torch_accepts_the_operation(op: object, arguments: tuple[object, ...]) -> None:
    """Schema, fake kernel, registration of autograd, and a trip through AOTAutograd."""
    torch.library.opcheck(op, arguments)  # type: ignore[arg-type]


def test_norms_are_torchs() -> None:
    x, a, w, c = (wide(*shape).detach() for shape in ((3, 7), (3, 7), (7,), (7,)))
    total, y = layer_norm.norm_reference(x, [a], [], [w], [c], 1e-5, False)[:2]
    torch.testing.assert_close(total, x + a)
    torch.testing.assert_close(y, F.layer_norm(x + a, (7,), w, c, 1e-5))
    torch.testing.assert_close(
        layer_norm.norm_reference(x, [], [], [w], [], 1e-5, True)[1], F.rms_norm(x, (7,), w, 1e-5)
    )


def test_softmax_is_torchs_and_zero_where_nothing_is_seen() -> None:
    scores = wide(2, 2, 3, 5).detach()
    causal = softmax.softmax_reference(scores, None, 0.5, True)
    seen = torch.ones(3, 5, dtype=torch.bool).tril(2)
    masked = (scores * 0.5).masked_fill(~seen, -math.inf).softmax(dim=-1)
    torch.testing.assert_close(causal, masked)
    visible = torch.ones(2, 1, 3, 5, dtype=torch.bool)
    visible[:, :, 1] = False
    assert softmax.softmax_reference(scores, visible, 0.5, False)[:, :, 1].abs().max() == 0


def test_cross_entropy_with_z_loss_by_autograd() -> None:
    logits, targets, weights = wide(5, 9), torch.tensor([0, 8, 3, 3, 1]), wide(5).detach().abs()
    lse = logits.logsumexp(dim=-1)
    expected = F.cross_entropy(logits, targets, reduction="none") + 0.1 * lse**2
    (gradient,) = torch.autograd.grad((expected * weights).sum(), logits)
    own = logits.detach().clone()
    loss, log_sum = cross_entropy.cross_entropy_(own, targets, weights, 0.1)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(log_sum, lse.detach())
    torch.testing.assert_close(own, gradient)


def test_shards_of_the_vocabulary_make_the_whole() -> None:
    logits, targets, weights = wide(5, 9).detach(), torch.tensor([0, 8, 3, 5, 4]), torch.ones(5)
    shards = [logits[:, :4].clone(), logits[:, 4:].clone()]
    parts = [
        cross_entropy.shard_statistics(shard, targets, first)
        for shard, first in zip(shards, (0, 4), strict=True)
    ]
    largest = torch.stack([part[0] for part in parts]).amax(dim=0)
    total = sum(part[1] * (part[0] - largest).exp() for part in parts)
    lse = largest + torch.as_tensor(total).log()
    picked = parts[0][2] + parts[1][2]
    for shard, first in zip(shards, (0, 4), strict=True):
        cross_entropy.shard_gradient_(shard, targets, lse, weights.double(), first)
    whole = logits.clone()
    loss, expected = cross_entropy.cross_entropy_(whole, targets, weights.double())
    torch.testing.assert_close(lse, expected)
    torch.testing.assert_close(lse - picked, loss)
    torch.testing.assert_close(torch.cat(shards, dim=1), whole)


def test_adamw_is_torchs() -> None:
    weights = [wide(7).detach(), wide(3, 4).detach()]
    theirs = [torch.nn.Parameter(weight.clone()) for weight in weights]
    optimizer = torch.optim.AdamW(theirs, lr=1e-2, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
    copies = [weight.bfloat16() for weight in weights]
    moments = [[torch.zeros_like(weight) for weight in weights] for _ in range(2)]
    for step in range(1, 4):
        gradients = [wide(*weight.shape, seed=step).detach() for weight in weights]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient * 0.5
        optimizer.step()
        scalars = [torch.tensor(value, dtype=torch.float64) for value in (1e-2, step, 0.5, 0.0)]
        adamw.adamw_reference_(
            weights, copies, gradients, *moments, *scalars, 0.8, 0.9, 1e-6, 0.1, True
        )
        for mine, parameter, copy in zip(weights, theirs, copies, strict=True):
            torch.testing.assert_close(mine, parameter.detach())
            assert torch.equal(copy, mine.bfloat16())


def test_philox_known_answers() -> None:
    """kat_vectors of Random123: philox4x32 with 10 rounds, counter and key all zeros, all ones."""
    levels = dropout.random_levels(1, 8, key(0, 0))[0].tolist()
    words = [levels[i] | levels[i + 1] << 16 for i in range(0, 8, 2)]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = torch.tensor([0xFFFFFFFF])
    words = [int(word) for word in dropout.philox([ones] * 4, [ones] * 2)]
    assert words == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_dropout_keeps_the_expectation_and_its_key_moves_on() -> None:
    x, nothing = torch.ones(200, 1001), torch.zeros(200, 1001)
    state = dropout.dropout_key(5, torch.device("cpu"))
    first, second = dropout.next_key(state), dropout.next_key(state)
    assert (first.tolist(), second.tolist(), state.tolist()) == ([5, 0], [5, 1], [5, 2])
    masks = [dropout.dropout_add(x, None, nothing, one, 0.3) for one in (first, second, first)]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])
    assert masks[0].mean().item() == pytest.approx(1.0, abs=5e-3)
    assert (masks[0] == 0).double().mean().item() == pytest.approx(0.3, abs=5e-3)


# --- the trial itself ----------------------------------------------------------------------------


def test_the_references_pass_their_own_trial_in_fp16() -> None:
    install.all_kernels()  # every operation is defined
    half = [case for case in trial.cases(torch.device("cpu")) if case.dtype == torch.float16]
    assert {case.op for case in half} >= {"norm", "glu", "softmax", "cross_entropy_", "adamw_"}
    for case in half[::3]:
        assert trial.run(case).passed, case.name


def test_what_is_wrong_is_seen() -> None:
    right = torch.ones(4)
    assert trial.relative_error(right, right) == 0
    assert trial.relative_error(torch.tensor([1.0, 1.0, 1.0, math.nan]), right) == math.inf
    assert trial.relative_error(torch.ones(3), right) == math.inf
    assert trial.relative_error(right * 1.5, right) == pytest.approx(0.5)


def test_arguments_as_the_kernels_read_them() -> None:
    x = torch.arange(12, dtype=torch.float32).view(3, 4)[:, 1:]
    packed = library.pack([x, None, 2.5]).raw
    fields = library._TENSOR.unpack_from(packed, 0)
    assert fields[:3] == (x.data_ptr(), 1, 2)
    assert fields[3:8] == (3, 3, 0, 0, 0)
    assert fields[8:] == (4, 1, 0, 0, 0)
    assert set(packed[library._TENSOR.size : 2 * library._TENSOR.size]) == {0}  # absent
    address, code, *_ = library._TENSOR.unpack_from(packed, 2 * library._TENSOR.size)
    assert code == 6
    assert address != 0


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "libneox.so"
    path.write_bytes(b"not a library")
    with pytest.raises(library.LibraryError, match=r"libneox.so: cannot be loaded"):
        library.KernelLibrary(path)
