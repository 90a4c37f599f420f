"""The linear layer with products of its own, and which products a training step asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from neox.data.batch import Batch
from neox.kernels.gemm import Gemm
from neox.models.gemms import training_gemms
from neox.models.init import initialise
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from neox.objectives.language import CausalLanguageModel
from neox.ops import gemm as room
from neox.ops import linear_cross_entropy
from neox.ops.gemm import described, gemm, linear
from neox.train.forward import Trainee
from tests.models.variants import PLAIN, VARIANTS


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where a table is installed; on a CPU the operation is its reference."""
    monkeypatch.setattr(room, "_measured", lambda *tensors: True)
    yield


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_layer_is_torchs(biased: bool) -> None:
    x, weight = random(2, 3, 5, seed=1), random(4, 5, seed=2)
    bias = random(4, seed=3) if biased else None
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))
    given = (x, weight) if bias is None else (x, weight, bias)
    assert torch.autograd.gradcheck(lambda *t: linear(*t, *(() if biased else (None,))), given)


@pytest.mark.usefixtures("measured")
def test_only_the_gradients_that_are_asked_for() -> None:
    x, weight = random(3, 5, seed=1).detach(), random(4, 5, seed=2)
    linear(x, weight, None).sum().backward()
    assert x.grad is None and weight.grad is not None
    x.requires_grad_()
    linear(x, weight.detach(), None).sum().backward()
    assert x.grad is not None


def test_a_product_into_a_part_of_another() -> None:
    x, weight = random(6, 5, seed=1).detach(), random(4, 5, seed=2).detach()
    whole = torch.zeros(6, 4, dtype=torch.float64)
    gemm("forward", x[2:4], weight, out=whole[2:4])
    torch.testing.assert_close(whole[2:4], x[2:4] @ weight.t())
    assert not whole[:2].any() and not whole[4:].any()


class Asked(TorchDispatchMode):
    """The products that the operation is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.gemms: set[Gemm] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.neox.gemm_.default:
            _, first, second, bias, kind = args
            found = described(kind, first, second, bias)
            assert found is not None
            self.gemms.add(found)
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("chunk_bytes", [1 << 30, 1500])
def test_what_is_tuned_is_what_a_step_multiplies(
    spec: ModelSpec, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list against a step that is watched, its logits whole and in chunks of two sizes."""
    monkeypatch.setattr("neox.ops.chunks.LOGITS_BYTES", chunk_bytes)
    tokens = torch.arange(50).view(2, 25)
    batch = Batch(tokens=tokens, loss_mask=torch.ones(2, 24), weight=48.0)
    trainee = Trainee(Transformer(spec).bfloat16(), CausalLanguageModel())
    initialise(trainee.model, spec, 1)
    asked = Asked()
    with asked:
        trainee(batch).total.backward()
    assert asked.gemms == {one for _, one in training_gemms(spec, 48, "bfloat16")}


def test_layers_in_fp8_are_left_out() -> None:
    names = {name for name, _ in training_gemms(PLAIN, 64, "float16", in_fp8={"dense"})}
    assert names == {"query_key_value", "linear1", "linear2", "head"}


def test_chunks_of_two_sizes() -> None:
    spec = replace(PLAIN, vocab_size=1 << 20)
    rows = [one.m for name, one in training_gemms(spec, 1_025, "float16") if name == "head"]
    assert sorted(set(rows)) == [1_024 // 2, 1_026 // 2]
    assert linear_cross_entropy.chunk_rows(1_025, spec.vocab_size, 2) == 513
