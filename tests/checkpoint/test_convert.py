"""`neox convert` refuses what it cannot convert, in one line, and leaves nothing behind."""

import json
from pathlib import Path

import pytest

from neox.checkpoint import hf
from neox.checkpoint.convert import main
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.safetensors_file import write_tensors
from neox.models.init import draw
from neox.models.shapes import parameter_shapes
from tests.checkpoint.saving import SPEC


def hf_folder(path: Path, **config: object) -> Path:
    path.mkdir()
    described = hf.hf_config(SPEC, "float32", None) | config
    (path / "config.json").write_text(json.dumps(described))
    tensors = {name: draw(name, shape, SPEC, 1) for name, shape in parameter_shapes(SPEC).items()}
    shapes = {hf.hf_name(name): (each.dtype, tuple(each.shape)) for name, each in tensors.items()}
    write_tensors(path / "model.safetensors", shapes, tensors.values())
    return path


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(word) for word in argv]) == 3
    error = capsys.readouterr().err
    assert error.startswith("neox convert: ") and error.count("\n") == 1
    return error


def test_both_directions_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = hf_folder(tmp_path / "hf")
    assert main(["from-hf", str(source), str(tmp_path / "ours")]) == 0
    assert main(["to-hf", str(tmp_path / "ours"), str(tmp_path / "back")]) == 0
    assert capsys.readouterr().out.count("wrote ") == 2
    names = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert names == ["config.json", "model.safetensors"]
    tensors = [path / "model.safetensors" for path in (source, tmp_path / "back")]
    assert tensors[0].read_bytes() == tensors[1].read_bytes()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "model_type is llama, not gpt_neox"),
        ({"hidden_act": "relu"}, "hidden_act is relu, not one of gelu"),
        ({"hidden_size": "big"}, "hidden_size is 'big', not a whole number"),
        ({"num_attention_heads": 3}, "hidden_size 16 is not whole per 3 heads"),
        ({"rope_scaling": {"type": "linear"}}, "linear scaling"),
        ({"intermediate_size": 32}, r"mlp.dense_h_to_4h.weight has the shape [64, 16]"),
        ({"num_hidden_layers": 3}, "gpt_neox.layers.2.input_layernorm.weight is missing"),
        ({"num_hidden_layers": 1}, "layers.1.input_layernorm.weight has no place"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: dict[str, object], message: str
) -> None:
    source = hf_folder(tmp_path / "hf", **config)
    assert message in refused(capsys, "from-hf", source, tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]


def test_cut_garbled_and_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = hf_folder(tmp_path / "hf")
    file, out = source / "model.safetensors", tmp_path / "ours"
    whole = file.read_bytes()
    for content in (whole[:-1], whole[:100], b"", b"\xff" * 64, whole[:8] + b"x" + whole[9:]):
        file.write_bytes(content)
        assert "model.safetensors" in refused(capsys, "from-hf", source, out)
    file.unlink()
    assert "No such file" in refused(capsys, "from-hf", source, out)
    (source / "config.json").write_text("{")
    assert "config.json is not JSON" in refused(capsys, "from-hf", source, out)
    assert not out.exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = hf_folder(tmp_path / "hf")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mine").write_text("")
    assert "is there already" in refused(capsys, "from-hf", source, tmp_path / "ours")
    assert "no checkpoint in" in refused(capsys, "to-hf", tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_foreign_tensor_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"model\.layers\.0"):
        hf.our_name("model.layers.0.self_attn.q_proj.weight")
    assert hf.our_name("gpt_neox.layers.3.attention.masked_bias") is None
    assert hf.our_name("gpt_neox.layers.3.attention.rotary_emb.inv_freq") is None
    assert hf.our_name("lm_head.weight") == hf.our_name("embed_out.weight") == "head.weight"
