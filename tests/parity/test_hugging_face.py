"""Our model against GPTNeoXForCausalLM of transformers, in both directions.

fp32 logits within 1e-5 and gradients within 1e-4, through the files that `neox convert` writes.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from neox.checkpoint import hf
from neox.checkpoint.convert import from_hf, to_hf
from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.manifest import About
from neox.checkpoint.reader import open_checkpoint
from neox.checkpoint.store import CheckpointWriter
from neox.checkpoint.weights import load_weights, spec_of, spec_to_json
from neox.models.spec import ModelSpec
from neox.models.transformer import Transformer
from tests.parity.shapes import BASE, SPECS

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def shake(model: torch.nn.Module) -> None:
    """Random numbers in every parameter, norms and biases too, large enough to matter."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for value in model.parameters():
            centre = 1.0 if value.ndim == 1 else 0.0
            value.copy_(centre + 0.15 * torch.randn(value.shape, generator=generator))


def theirs(spec: ModelSpec) -> torch.nn.Module:
    """A random model of transformers, configured by their own names."""
    config = transformers.GPTNeoXConfig(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        num_hidden_layers=spec.num_layers,
        num_attention_heads=spec.num_attention_heads,
        intermediate_size=spec.ffn_size,
        hidden_act="gelu" if spec.activation == "gelu_exact" else "gelu_new",
        rotary_pct=hf.rotary_share(spec),
        rotary_emb_base=spec.rotary_base,
        max_position_embeddings=spec.max_positions,
        layer_norm_eps=spec.norm_epsilon,
        use_parallel_residual=spec.parallel_residual,
        tie_word_embeddings=spec.tied_head,
        attention_bias=spec.attention_bias,
    )
    model: torch.nn.Module = transformers.GPTNeoXForCausalLM(config)
    shake(model)
    return model.eval()


def saved(model: Transformer, folder: Path) -> Path:
    about = About(model=spec_to_json(model.spec), configs={}, geometry={}, versions={})
    writer = CheckpointWriter(folder, rank=0, world_size=1, attempt="a", about=about)
    fragments = [
        Fragment(
            name=name, kind="weight", shape=tuple(value.shape), box=whole(tuple(value.shape)),
            start=0, data=value.detach().reshape(-1),
        )
        for name, value in model.named_parameters()
    ]  # fmt: skip
    writer.save(1, fragments, state={}, rank_state={})
    writer.publish()
    writer.wait()
    return folder


def loaded(folder: Path) -> Transformer:
    reader = open_checkpoint(folder)
    model = Transformer(spec_of(reader))
    load_weights(model, reader)
    return model.eval()


def loss_and_gradients(
    logits: torch.Tensor, tokens: torch.Tensor, model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def assert_equal_models(ours: Transformer, other: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(ours.spec.vocab_size, (3, 40), generator=generator)
    got, expected = ours(tokens), other(tokens).logits
    assert expected.std() > 0.1  # the comparison would mean nothing otherwise
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    our_gradients = loss_and_gradients(got, tokens, ours)
    their_gradients = loss_and_gradients(expected, tokens, other)
    seen = {hf.our_name(name): grad for name, grad in their_gradients.items()}
    assert set(our_gradients) <= set(seen)
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, seen[name], atol=1e-4, rtol=1e-4)


@each_spec
def test_theirs_becomes_ours(spec: ModelSpec, tmp_path: Path) -> None:
    model = theirs(spec)
    model.save_pretrained(tmp_path / "hf")  # type: ignore[operator]
    from_hf(tmp_path / "hf", tmp_path / "ours")
    ours = loaded(tmp_path / "ours")
    assert replace(ours.spec, init_std=spec.init_std) == spec
    assert_equal_models(ours, model)


@each_spec
def test_ours_becomes_theirs(spec: ModelSpec, tmp_path: Path) -> None:
    ours = Transformer(spec)
    shake(ours)
    to_hf(saved(ours, tmp_path / "ours"), tmp_path / "hf", file_bytes=60_000)
    model, notes = transformers.GPTNeoXForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not notes["missing_keys"] and not notes["unexpected_keys"]
    assert_equal_models(ours.eval(), model.eval())


def test_documents_of_a_row_against_their_mask_and_positions(tmp_path: Path) -> None:
    """They are told who sees whom as scores, and the place of each token in its document."""
    spec = SPECS["rotary 0.5"]
    model = theirs(spec)
    model.save_pretrained(tmp_path / "hf")  # type: ignore[operator]
    from_hf(tmp_path / "hf", tmp_path / "ours")
    ours = loaded(tmp_path / "ours")
    documents = torch.tensor([[0] * 9 + [1] + [2] * 14, [0] * 20 + [5] * 4])
    places = torch.tensor([[*range(9), 0, *range(14)], [*range(20), *range(4)]])
    tokens = torch.arange(48).view(2, 24) % spec.vocab_size
    seen = (documents[:, :, None] == documents[:, None, :]) & torch.ones(24, 24).tril().bool()
    scores = torch.zeros(2, 1, 24, 24).masked_fill(~seen[:, None], float("-inf"))
    expected = model.eval()(tokens, attention_mask=scores, position_ids=places).logits
    hidden = ours.hidden(tokens, documents=documents, positions=places)
    found = F.linear(hidden, ours.output_matrix)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, model(tokens).logits, atol=1e-2)


@pytest.mark.parametrize(
    "spec",
    [replace(BASE, shared_norm=True), replace(BASE, mlp_bias=False)],
    ids=["shared norm", "no mlp bias"],
)
def test_what_theirs_lacks_is_written_as_an_equal_model(spec: ModelSpec, tmp_path: Path) -> None:
    ours = Transformer(spec)
    shake(ours)
    to_hf(saved(ours, tmp_path / "ours"), tmp_path / "hf")
    model = transformers.GPTNeoXForCausalLM.from_pretrained(tmp_path / "hf")
    tokens = torch.arange(40)[None]
    torch.testing.assert_close(ours(tokens), model(tokens).logits, atol=1e-5, rtol=1e-5)


def test_there_and_back_keeps_every_bit(tmp_path: Path) -> None:
    ours = Transformer(BASE)
    shake(ours)
    to_hf(saved(ours, tmp_path / "ours"), tmp_path / "hf")
    from_hf(tmp_path / "hf", tmp_path / "again")
    again = loaded(tmp_path / "again")
    for name, value in ours.named_parameters():
        assert torch.equal(value, again.get_parameter(name))
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["model_type"] == "gpt_neox"
