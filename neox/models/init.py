"""Initial weights that depend on the seed and the parameter's name alone, never on geometry.

The formulas are GPT-NeoX's (megatron/model/init_functions.py).
"""

import hashlib
import math

import torch
from torch import nn

from neox.models.spec import InitMethod, ModelSpec

OUTPUT_PROJECTIONS = ("attention.dense.weight", "mlp.linear2.weight")


@torch.no_grad()
def initialise(model: nn.Module, spec: ModelSpec, seed: int) -> None:
    """Fill every parameter of `model`, drawing one whole tensor at a time.

    The names of `named_parameters()` must be logical names.
    """
    for name, parameter in model.named_parameters():
        parameter.copy_(draw(name, tuple(parameter.shape), spec, seed))


def draw(name: str, shape: tuple[int, ...], spec: ModelSpec, seed: int) -> torch.Tensor:
    """The whole parameter `name` in fp32 on the CPU; a shard takes its slice of it."""
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape)  # the scale of a norm
    output = name.endswith(OUTPUT_PROJECTIONS)
    method = spec.output_init_method if output else spec.init_method
    return _matrix((shape[0], shape[1]), method, spec, _generator(name, seed))


def _generator(name: str, seed: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    # manual_seed takes 64 bits; the CPU's Mersenne twister reads the low 32
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def _matrix(
    shape: tuple[int, int], method: InitMethod, spec: ModelSpec, generator: torch.Generator
) -> torch.Tensor:
    if method in ("orthogonal", "scaled_orthogonal"):
        depth = spec.num_layers if method == "scaled_orthogonal" else 1
        return _orthogonal(shape, math.sqrt(2 / depth), generator)
    matrix = torch.empty(shape)
    if method == "xavier_uniform":
        bound = math.sqrt(6 / sum(shape))
        return matrix.uniform_(-bound, bound, generator=generator)
    return matrix.normal_(0.0, standard_deviation(method, shape, spec), generator=generator)


def standard_deviation(method: InitMethod, shape: tuple[int, int], spec: ModelSpec) -> float:
    """Of one element, for every method; the sum of the shape is fan-in + fan-out."""
    deviation: dict[InitMethod, float] = {
        "normal": spec.init_std,
        "scaled_normal": spec.init_std / math.sqrt(2 * spec.num_layers),
        "single_residual_scaled_normal": spec.init_std / math.sqrt(spec.num_layers),
        "orthogonal": math.sqrt(2 / max(shape)),
        "scaled_orthogonal": math.sqrt(2 / spec.num_layers / max(shape)),
        "xavier_uniform": math.sqrt(2 / sum(shape)),
        "xavier_normal": math.sqrt(2 / sum(shape)),
        "wang_init": 2 / (spec.num_layers * math.sqrt(spec.hidden_size)),
        "small_init": math.sqrt(2 / (5 * spec.hidden_size)),
    }
    return deviation[method]


def _orthogonal(shape: tuple[int, int], gain: float, generator: torch.Generator) -> torch.Tensor:
    """Rows or columns orthonormal (whichever are fewer), uniform over such matrices, times gain.

    The signs follow Mezzadri, arXiv:math-ph/0609050.
    """
    flat = torch.empty(shape).normal_(generator=generator)
    wide = shape[0] < shape[1]
    q: torch.Tensor
    q, r = torch.linalg.qr(flat.T if wide else flat)
    q = gain * q * r.diagonal().sign()
    return q.T if wide else q
