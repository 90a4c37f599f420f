"""Every parameter of a model: its logical name and shape. Counts, inits and checkpoints start here.

Imports no torch, because the plan counts with it.
"""

from neox.models.spec import ModelSpec

Shape = tuple[int, ...]


def parameter_shapes(spec: ModelSpec) -> dict[str, Shape]:
    """Logical name -> shape, in the order of the forward pass. Linear weights are [out, in]."""
    shapes: dict[str, Shape] = {"embedding.weight": (spec.vocab_size, spec.hidden_size)}
    for index in range(spec.num_layers):
        shapes |= layer_shapes(spec, index)
    shapes |= _norm("final_norm", spec)
    if not spec.tied_head:
        shapes["head.weight"] = (spec.vocab_size, spec.hidden_size)
    return shapes


def layer_shapes(spec: ModelSpec, index: int) -> dict[str, Shape]:
    """The parameters of layer `index` (from 0)."""
    layer = f"layers.{index}"
    hidden = spec.hidden_size
    return {
        **_norm(f"{layer}.input_layernorm", spec),
        **_linear(f"{layer}.attention.query_key_value", hidden, 3 * hidden, spec.attention_bias),
        **_linear(f"{layer}.attention.dense", hidden, hidden, spec.attention_bias),
        **({} if spec.shared_norm else _norm(f"{layer}.post_attention_layernorm", spec)),
        **_linear(f"{layer}.mlp.linear1", hidden, spec.ffn_size, spec.mlp_bias),
        **_linear(f"{layer}.mlp.linear2", spec.ffn_size, hidden, spec.mlp_bias),
    }


def _norm(name: str, spec: ModelSpec) -> dict[str, Shape]:
    return {f"{name}.weight": (spec.hidden_size,), f"{name}.bias": (spec.hidden_size,)}


def _linear(name: str, inputs: int, outputs: int, bias: bool) -> dict[str, Shape]:
    weight: dict[str, Shape] = {f"{name}.weight": (outputs, inputs)}
    return weight | {f"{name}.bias": (outputs,)} if bias else weight
