"""Tries each kernel on this GPU against its reference in fp64 on the CPU, gradients included.

Shapes are multiples of nothing, pointers unaligned, tensors empty or of one row; memory is poisoned
with NaN before each run, so that an element that is not written shows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from neox.ops.adamw import COMPILED
from neox.ops.chunks import PARTS_AT_ONCE
from neox.ops.gemm import DTYPES
from neox.ops.library import KERNEL_DTYPES, installed

# largest |got - expected| / |expected| (2-norms): a few roundings of the format
TOLERANCE = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
Value = torch.Tensor | list[torch.Tensor] | float | bool | str | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call of an operation."""

    name: str
    op: str
    arguments: tuple[Value, ...]
    dtype: torch.dtype
    differentiable: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    case: Case
    error: float  # the largest over outputs, changed inputs and gradients
    repeats: bool  # a second run gave the same bits

    @property
    def passed(self) -> bool:
        return self.repeats and self.error <= TOLERANCE[self.case.dtype]


def run(case: Case) -> Verdict:
    """Raises what the kernel raises."""
    got, again = _outcome(case, case.arguments), _outcome(case, case.arguments)
    expected = _outcome(case, tuple(_reference(value) for value in case.arguments))
    repeats = all(torch.equal(one, other) for one, other in zip(got, again, strict=True))
    errors = [relative_error(one, other) for one, other in zip(got, expected, strict=True)]
    return Verdict(case=case, error=max(errors, default=0.0), repeats=repeats)


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """NaN and a wrong shape are infinitely wrong."""
    if got.shape != expected.shape:
        return math.inf
    difference = (got.detach().cpu().double() - expected.detach().double()).norm().item()
    error = difference / max(expected.double().norm().item(), 1e-30)
    return error if math.isfinite(error) and difference else (0.0 if difference == 0 else math.inf)


def _outcome(case: Case, arguments: tuple[Value, ...]) -> list[torch.Tensor]:
    """Outputs, then inputs as they are afterwards, then gradients."""
    own = tuple(_own(value, case.differentiable) for value in arguments)
    if any(tensor.is_cuda for tensor in _tensors(own)):
        _poison(own)
    returned = getattr(torch.ops.neox, case.op)(*own)
    outputs = [returned] if isinstance(returned, torch.Tensor) else list(returned or ())
    if not case.differentiable:
        return [*outputs, *_tensors(own)]
    inputs = [one for one in _tensors(own) if one.requires_grad]
    parts = [
        (out * _weight(out)).sum() for out in outputs if out.grad_fn is not None and out.numel()
    ]
    # statistics that come out beside the result carry no gradient
    wanted = parts[:3] if case.op == "norm" else parts
    gradients = torch.autograd.grad(wanted, inputs) if wanted else ()
    return [*(out.detach() for out in outputs), *gradients]


def _weight(like: torch.Tensor) -> torch.Tensor:
    """Fixed numbers in [-1, 1], the same on both devices and exact in every format."""
    index = torch.arange(like.numel(), device=like.device)
    return ((index * 37 % 65 - 32) / 32.0).view(like.shape).to(like.dtype)


def _own(value: Value, gradient: bool) -> Value:
    """A copy with the same alignment."""
    if isinstance(value, list):
        return [_copy(one, gradient) for one in value]
    return _copy(value, gradient) if isinstance(value, torch.Tensor) else value


def _copy(tensor: torch.Tensor, gradient: bool) -> torch.Tensor:
    if tensor.is_contiguous() and tensor.storage_offset():
        copy = unaligned(tensor)
    else:
        copy = tensor.clone(memory_format=torch.preserve_format)
    return copy.requires_grad_(gradient and tensor.is_floating_point())


def _reference(value: Value) -> Value:
    if isinstance(value, list):
        return [_wide(one) for one in value]
    return _wide(value) if isinstance(value, torch.Tensor) else value


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.cpu().double() if tensor.is_floating_point() else tensor.cpu()


def _tensors(values: Sequence[Value]) -> list[torch.Tensor]:
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [one for one in flat if isinstance(one, torch.Tensor)]


def _poison(values: Sequence[Value]) -> None:
    """Leave NaN in the blocks that the allocator gives out next."""
    sizes = [one.numel() * one.element_size() for one in _tensors(values)]
    blocks = [
        torch.full((size // 4 + 1,), math.nan, device="cuda") for size in sizes for _ in range(3)
    ]
    del blocks


# --- the cases -----------------------------------------------------------------------------------


class Maker:
    """Random tensors on the GPU, always the same ones."""

    def __init__(self, dtype: torch.dtype, device: torch.device, seed: int = 0) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)
        self.dtype = dtype
        self.device = device

    def __call__(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        wide = torch.randn(shape, generator=self._generator, device=self.device)
        return wide.to(dtype or self.dtype)

    def below(self, limit: int, *shape: int) -> torch.Tensor:
        return torch.randint(limit, shape, generator=self._generator, device=self.device)


def unaligned(tensor: torch.Tensor) -> torch.Tensor:
    """The same values at an address that no vector load may use."""
    room = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
    return room[1:].view(tensor.shape).copy_(tensor)


def cases(device: torch.device) -> Iterator[Case]:
    for dtype in KERNEL_DTYPES:
        make = Maker(dtype, device)
        for family in (
            _norms, _gelus, _glus, _dropouts, _softmaxes, _losses, _sums, _embeddings, _rotaries,
            _joins, _squares,
        ):  # fmt: skip
            yield from family(make)
        if dtype in DTYPES and installed("gemm_gelu", make(1)):
            yield from _feed_forwards(make)
    yield from _adamws(device)


def _named(op: str, make: Maker, *arguments: Value, gradient: bool = True) -> Case:
    shapes = ",".join("x".join(map(str, one.shape)) for one in _tensors(arguments)[:1])
    kind = str(make.dtype).removeprefix("torch.")
    words = " ".join(str(one) for one in arguments if isinstance(one, str | bool))
    name = f"{op} {kind} {shapes} {words}".strip()
    return Case(name=name, op=op, arguments=arguments, dtype=make.dtype, differentiable=gradient)


def _norms(make: Maker) -> Iterator[Case]:
    for rows, size in (
        (5, 7), (130, 768), (1, 4096), (0, 64), (3, 1000), (9, 2048), (2, 6144), (4, 8191),
        (39, 512), (13, 1536), (3000, 1024), (700, 5120), (600, 8192), (7, 256),
    ):  # fmt: skip
        x, w, b = make(rows, size), make(size), make(size)
        for added in ([], [make(rows, size)], [make(rows, size), make(rows, size)]):
            held = [make(size) for _ in added]
            yield _named("norm", make, x, added, held, [w], [b], 1e-5, False)
        yield _named("norm", make, x, [], [], [w], [], 1e-5, True)
        yield _named("norm", make, x, [], [], [w], [], 1e-5, False)
        both, biases = [w, make(size)], [b, make(size)]
        yield _named("norm", make, x, [], [], both, biases, 1e-5, False)
        yield _named("norm", make, x, [make(rows, size)], [make(size)], both, biases, 1e-5, False)
        yield _named("norm", make, unaligned(x), [], [], [unaligned(w)], [b], 1e-5, False)
    for rows, size in ((2, 16_001), (400, 12_288), (300, 16_384)):
        x = make(rows, size)
        yield _named("norm", make, x, [], [], [make(size)], [], 1e-5, True)
        yield _named("norm", make, x, [x], [make(size)], [make(size)], [make(size)], 1e-5, False)
    # far from zero: the variance must not be a difference of large numbers
    for size in (512, 2048):
        far = make(8, size) + 30
        yield _named("norm", make, far, [], [], [make(size)], [make(size)], 1e-5, False)


def _gelus(make: Maker) -> Iterator[Case]:
    for form in ("gelu_exact", "gelu_tanh"):
        for shape in ((5, 7), (1, 1000), (0, 8), (2, 33, 264), (300, 4096)):
            x = make(*shape) * 3
            yield _named("bias_gelu", make, x, make(shape[-1]), form)
            yield _named("bias_gelu", make, unaligned(x), None, form)


def _feed_forwards(make: Maker) -> Iterator[Case]:
    for m, n, k in ((5, 16, 8), (1, 8, 72), (130, 264, 1000), (700, 520, 64), (2100, 776, 136)):
        x, weight, bias = make(m, k), make(n, k) * k**-0.5, make(n)
        for form in ("gelu_exact", "gelu_tanh"):
            yield _named("gemm_gelu", make, x, weight, bias, form, gradient=False)
        yield _named(
            "gemm_gelu", make, unaligned(x), unaligned(weight), None, "gelu_exact", gradient=False
        )
        weight, slope = make(k, n) * k**-0.5, make(m, n)
        for sums in (True, False):
            yield _named("gemm_gelu_backward", make, x, weight, slope, sums, gradient=False)


def _glus(make: Maker) -> Iterator[Case]:
    for curve in ("silu", "gelu_exact", "gelu_tanh", "relu"):
        for shape in ((5, 14), (1, 1000), (0, 8), (2, 33, 528)):
            yield _named("glu", make, make(*shape) * 3, curve)
            yield _named("glu", make, unaligned(make(*shape)), curve)


def _dropouts(make: Maker) -> Iterator[Case]:
    key = torch.tensor([(7 << 32) + 3, 5], dtype=torch.int64, device=make.device)
    for shape in ((5, 7), (1, 1000), (0, 8), (2, 33, 264)):
        for probability in (0.0, 0.1, 1.0):
            x, bias, residual = make(*shape), make(shape[-1]), make(*shape)
            yield _named("dropout_add", make, x, bias, residual, key, probability)
            yield _named("dropout_add", make, unaligned(x), None, residual, key, probability)


def _softmaxes(make: Maker) -> Iterator[Case]:
    for shape in (
        (2, 3, 5, 7), (1, 2, 9, 264), (1, 1, 1, 1), (0, 1, 4, 4), (1, 2, 33, 1003),
        (1, 2, 3, 64), (1, 1, 3, 600), (1, 1, 5, 2048), (1, 1, 3, 4096),
    ):  # fmt: skip
        scores = make(*shape)
        for causal in (False, True):
            yield _named("softmax", make, scores, None, 0.7, causal)
            visible = make(shape[0], 1, *shape[2:]) > 0
            visible[..., :1, :] = False  # a query that sees nothing
            yield _named("softmax", make, unaligned(scores), visible, 0.7, causal)
    yield _named("softmax", make, make(1, 1, 3, 32_768), None, 1.0, True)
    yield _named("softmax", make, make(1, 1, 2, 20_001), None, 1.0, False)


def _sums(make: Maker) -> Iterator[Case]:
    factor = torch.tensor(0.37, device=make.device)
    for shape in ((5, 7), (1, 1000), (0, 8), (300, 264)):
        for count in range(1, PARTS_AT_ONCE + 1):
            parts = [make(*shape) for _ in range(count)]
            yield _named("scaled_sum", make, parts, factor, gradient=False)
        yield _named("scaled_sum", make, [unaligned(parts[0]), parts[1]], factor, gradient=False)


def _embeddings(make: Maker) -> Iterator[Case]:
    for rows, size, words in (
        (5, 7, 3), (1, 8, 4), (0, 16, 5), (200, 264, 3), (130, 96, 1000), (100, 12, 1),
        (77, 2056, 2), (1000, 8, 40), (1000, 12, 4), (640, 8, 1),
    ):  # fmt: skip
        for dy in (make(rows, size), unaligned(make(rows, size))):
            ascending, place = make.below(words, rows).sort()
            yield _named("embedding_backward", make, dy, ascending, place, words, gradient=False)


def _squares(make: Maker) -> Iterator[Case]:
    parts = [make(*shape) for shape in ((5, 7), (1,), (0, 8), (300, 264), (16_384,))]
    yield _named("squared_norm", make, parts, gradient=False)
    yield _named("squared_norm", make, [unaligned(parts[3])], gradient=False)
    yield _named("squared_norm", make, [make(33) for _ in range(300)], gradient=False)
    if make.dtype != torch.float16:  # squares beyond what fp32 holds, and below
        for size in (1e25, 1e-25):
            yield _named("squared_norm", make, [parts[3] * size], gradient=False)


def _losses(make: Maker) -> Iterator[Case]:
    for rows, words in (
        (5, 7), (1, 50_304), (0, 16), (33, 1001),
        (2, 60_001), (1, 70_003), (140, 70_003), (2, 131_072), (3, 140_000),  # long
    ):  # fmt: skip
        logits, targets = make(rows, words) * 3, make.below(words, rows)
        weights = make(rows, dtype=torch.float32).abs()
        for form in (logits, unaligned(logits)):
            yield _named("cross_entropy_", make, form, targets, weights, 1e-3, gradient=False)
        far = make.below(3 * words, rows)
        yield _named("shard_statistics", make, logits, far, words, gradient=False)
        lse = torch.full_like(weights, 9.0)
        yield _named(
            "shard_gradient_", make, logits, far, lse, weights, words, 1e-3, gradient=False
        )


def _rotaries(make: Maker) -> Iterator[Case]:
    for shape, half, turned in (
        ((2, 5, 3, 3, 16), 4, 2),
        ((1, 7, 2, 3, 64), 8, 2),
        ((2, 3, 2, 5, 20), 3, 4),  # four grouped queries and keys
        ((1, 4, 2, 3, 32), 16, 2),
        ((3, 50, 3, 3, 64), 24, 2),  # batch rows share their angles; five heads' lanes fill no warp
        ((1, 3, 2, 3, 256), 128, 2),
        ((0, 4, 2, 3, 32), 16, 2),
    ):
        angle = make(2 if shape[0] == 2 else 1, shape[1], half, dtype=torch.float32)
        yield _named(
            "rotate_", make, make(*shape), angle.cos(), angle.sin(), turned, gradient=False
        )


def _joins(make: Maker) -> Iterator[Case]:
    for batch, heads, length, dims, half in (
        (2, 3, 5, 16, 4), (1, 2, 7, 64, 8), (2, 2, 3, 10, 3), (1, 4, 70, 64, 32), (0, 1, 2, 8, 4),
    ):  # fmt: skip
        parts = [make(batch, length, heads, dims).transpose(1, 2) for _ in range(2)]
        parts.append(make(batch, heads, length, dims))
        angle = make(1, length, half, dtype=torch.float32)
        for sums in (False, True):
            yield _named("join_heads", make, *parts, angle.cos(), angle.sin(), sums, gradient=False)
        yield _named("join_heads", make, *parts, None, None, True, gradient=False)
        mixed = make(batch, length, heads, 3, dims)
        for sums in (False, True):
            yield _named("turn_back_", make, mixed, angle.cos(), angle.sin(), sums, gradient=False)
        yield _named("turn_back_", make, mixed, None, None, True, gradient=False)


def _adamws(device: torch.device) -> Iterator[Case]:
    for copy, gradient, moment in sorted(COMPILED, key=str):
        make = Maker(torch.float32, device)
        sizes = (1, 7, 8193, 20_000, *range(1, 80))  # more than one launch holds
        weights = [make(size) for size in sizes]
        weights[3] = unaligned(weights[3])
        moments = [make(size, dtype=moment) for size in sizes]
        squares = [make(size).square().to(moment) for size in sizes]
        gradients = [make(size, dtype=gradient) for size in sizes]
        copies = [] if copy is None else [one.to(copy) for one in weights]
        loose = next((kind for kind in (copy, moment) if kind in TOLERANCE and kind), make.dtype)
        for bad in (0.0, 1.0):
            if bad and copies:
                continue  # the reference refreshes the copies
            scalars = [torch.tensor(value, device=device) for value in (1e-3, 3.0, 0.5, bad)]
            for decoupled in (True, False):
                arguments = (
                    weights, copies, gradients, moments, squares, *scalars,
                    0.9, 0.95, 1e-8, 0.1, decoupled,
                )  # fmt: skip
                name = f"adamw_ {copy} {gradient} {moment} bad={bad} decoupled={decoupled}"
                yield Case(name=name, op="adamw_", arguments=arguments, dtype=loose)


def report(say: Callable[[str], None], device: torch.device) -> bool:
    """Run all; print what fails and one line an operation. True if all passed."""
    worst: dict[str, tuple[int, float]] = {}
    good = True
    for case in cases(device):
        verdict = run(case)
        if not verdict.passed:
            good = False
            repeats = "" if verdict.repeats else ", and differs from run to run"
            say(f"FAILED {case.name}: off by {verdict.error:.1e}{repeats}")
        key = f"{case.op:16} {str(case.dtype).removeprefix('torch.'):9}"
        count, error = worst.get(key, (0, 0.0))
        worst[key] = count + 1, max(error, verdict.error)
    for key, (count, error) in sorted(worst.items()):
        say(f"{key} {count:4} cases, at most {error:.1e} off")
    return good
