"""Between a checkpoint's manifest and a model: which model it is, and its weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import nn

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.json_values import Fields
from neox.checkpoint.reader import Reader
from neox.models.spec import Activation, InitMethod, ModelSpec

Choice = TypeVar("Choice", Activation, InitMethod)
ACTIVATIONS: tuple[Literal["gelu_exact", "gelu_tanh"], ...] = get_args(Activation)
INIT_METHODS: tuple[InitMethod, ...] = get_args(InitMethod)


def spec_to_json(spec: ModelSpec) -> dict[str, object]:
    """For `About.model`."""
    return asdict(spec)


def spec_of(reader: Reader) -> ModelSpec:
    """The model that a checkpoint holds; raises CheckpointError naming the field that is wrong."""
    where = f"{reader.folder / 'manifest.json'}: about: model"
    return read_spec(Fields(values=dict(reader.manifest.about.model), where=where))


def read_spec(fields: Fields) -> ModelSpec:
    return ModelSpec(
        num_layers=fields.integer("num_layers"),
        hidden_size=fields.integer("hidden_size"),
        num_attention_heads=fields.integer("num_attention_heads"),
        ffn_size=fields.integer("ffn_size"),
        vocab_size=fields.integer("vocab_size"),
        max_positions=fields.integer("max_positions"),
        rotary_dims=fields.integer("rotary_dims"),
        rotary_base=fields.number("rotary_base"),
        norm_epsilon=fields.number("norm_epsilon"),
        activation=_choice(fields, "activation", ACTIVATIONS),
        parallel_residual=fields.truth("parallel_residual"),
        shared_norm=fields.truth("shared_norm"),
        attention_bias=fields.truth("attention_bias"),
        mlp_bias=fields.truth("mlp_bias"),
        tied_head=fields.truth("tied_head"),
        attention_dropout=fields.number("attention_dropout"),
        hidden_dropout=fields.number("hidden_dropout"),
        init_method=_choice(fields, "init_method", INIT_METHODS),
        output_init_method=_choice(fields, "output_init_method", INIT_METHODS),
        init_std=fields.number("init_std"),
    )


def _choice(fields: Fields, name: str, known: tuple[Choice, ...]) -> Choice:
    text = fields.text(name)
    for choice in known:
        if choice == text:
            return choice
    raise CheckpointError(f"{fields.where}: {name} is {text}, not one of {', '.join(known)}")


@torch.no_grad()
def load_weights(model: nn.Module, reader: Reader) -> None:
    """Fill every parameter from the checkpoint, cast to the parameter's dtype.

    Raises CheckpointError when a tensor is missing, damaged or of another shape.
    """
    for name, parameter in model.named_parameters():
        value = reader.read_whole(name)
        if value.shape != parameter.shape:
            raise CheckpointError(
                f"{reader.folder}: {name} has the shape {list(value.shape)}, the model wants "
                f"{list(parameter.shape)}; the checkpoint belongs to another model"
            )
        parameter.copy_(value)


def folder_is_free(out: Path) -> None:
    """Raises CheckpointError when `out` exists and is not an empty folder."""
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise CheckpointError(f"cannot look into {out}: {error.strerror}") from error
    if taken:
        raise CheckpointError(f"{out} is there already; name a new folder")
