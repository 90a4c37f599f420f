"""What autograd really keeps of a layer, counted tensor by tensor."""

from dataclasses import replace

import pytest
import torch

from neox.models.activations import layer_bytes
from neox.models.init import initialise
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer

BATCH, LENGTH = 2, 64
SPEC = ModelSpec(
    num_layers=2,
    hidden_size=64,
    num_attention_heads=4,
    ffn_size=160,
    vocab_size=128,
    max_positions=LENGTH,
    rotary_dims=4,
)


def kept_bytes(spec: ModelSpec, dtype: torch.dtype) -> int:
    """Bytes of all storages that the backward pass of a model needs, parameters left out."""
    model = Transformer(spec)
    initialise(model, spec, seed=1)
    model.to(dtype)
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage
        return tensor

    tokens = torch.randint(spec.vocab_size, (BATCH, LENGTH))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(tokens)
    assert logits.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"parallel_residual": True},
        {"parallel_residual": True, "shared_norm": True},
        {"rotary_dims": 0},
        {"ffn_size": 256},
    ],
)
def test_a_layer_keeps_what_the_formula_says(shape: dict[str, int], dtype: torch.dtype) -> None:
    spec = replace(SPEC, **shape)  # type: ignore[arg-type]
    deeper = replace(spec, num_layers=spec.num_layers + 1)
    one_layer = kept_bytes(deeper, dtype) - kept_bytes(spec, dtype)
    expected = layer_bytes(spec, dtype.itemsize) * BATCH * LENGTH
    assert one_layer == pytest.approx(expected, rel=0.01)
