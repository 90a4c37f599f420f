"""`neox convert`: checkpoints to and from Hugging Face folders, without transformers."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import torch

import neox
from neox.checkpoint import directory, hf
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.json_values import read_fields
from neox.checkpoint.manifest import About
from neox.checkpoint.reader import Reader, open_checkpoint
from neox.checkpoint.safetensors_file import TensorEntry, read_header, read_tensor, write_tensors
from neox.checkpoint.store import CheckpointWriter
from neox.checkpoint.weights import folder_is_free, spec_of, spec_to_json
from neox.data.errors import DataError
from neox.data.tokenizers import load_tokenizer
from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec
from neox.run.exit_codes import ExitCode

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DTYPE_WORDS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
FILE_BYTES = 5_000_000_000  # of tensors in one file, as transformers cuts them
INDEX = "model.safetensors.index.json"


def to_hf(
    checkpoint: Path,
    out: Path,
    *,
    precision: str = "fp32",
    tokenizer: Path | None = None,
    file_bytes: int = FILE_BYTES,
) -> None:
    """Write the weights of a checkpoint as a new folder `out` that transformers loads.

    One tensor is in memory at a time. Raises CheckpointError; `out` is then not there.
    """
    folder_is_free(out)
    reader = open_checkpoint(checkpoint)
    spec = spec_of(reader)
    end_of_text = None
    if tokenizer is not None:
        end_of_text = load_tokenizer("HFTokenizer", tokenizer).eod
    draft = out.with_name(f".{out.name}.tmp")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _write_hf_tensors(reader, spec, draft, PRECISIONS[precision], file_bytes)
        config = hf.hf_config(spec, DTYPE_WORDS[precision], end_of_text)
        directory.write_file(draft / "config.json", _json(config))
        if tokenizer is not None:
            shutil.copyfile(tokenizer, draft / "tokenizer.json")
        draft.replace(out)
    except OSError as error:
        raise CheckpointError(f"cannot write {out}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_hf_tensors(
    reader: Reader, spec: ModelSpec, out: Path, dtype: torch.dtype, file_bytes: int
) -> None:
    parts = _parts(_hf_shapes(spec), dtype, file_bytes)
    total = 0
    weight_map: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        name = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        if len(parts) == 1:
            name = "model.safetensors"
        shapes = {hf.hf_name(each): (dtype, shape) for each, shape in part.items()}
        tensors = (_hf_tensor(reader, spec, each, shape).to(dtype) for each, shape in part.items())
        written = write_tensors(out / name, shapes, tensors)
        total += sum(entry.size for entry in written.entries.values())
        weight_map |= dict.fromkeys(shapes, name)
    if len(parts) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        directory.write_file(out / INDEX, _json(index))


def _hf_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Our names of all that their model holds: it always has two norms and MLP biases."""
    return parameter_shapes(replace(spec, shared_norm=False, mlp_bias=True))


def _hf_tensor(reader: Reader, spec: ModelSpec, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if spec.shared_norm:
        name = name.replace("post_attention_layernorm", "input_layernorm")
    if not reader.has(name, "weight"):
        return torch.zeros(shape)  # a bias that our model does without
    return reader.read_whole(name)


def _parts(
    shapes: dict[str, tuple[int, ...]], dtype: torch.dtype, limit: int
) -> list[dict[str, tuple[int, ...]]]:
    parts: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, shape in shapes.items():
        more = torch.Size(shape).numel() * dtype.itemsize
        if parts[-1] and size + more > limit:
            parts.append({})
            size = 0
        parts[-1][name] = shape
        size += more
    return parts


def from_hf(folder: Path, out: Path) -> Path:
    """Write a Hugging Face folder as the checkpoint `out`/step-00000000, weights alone.

    Raises CheckpointError naming the file and tensor that do not fit; `out` is then as before.
    """
    path = folder / "config.json"
    text = _read(path)
    spec = hf.read_hf_config(read_fields(text, str(path)))
    about = About(
        model=spec_to_json(spec),
        configs={"config.json": text.decode()},
        geometry={},
        versions={"neox": neox.__version__, "torch": torch.__version__},
    )
    folder_is_free(out)
    there = out.exists()
    writer = CheckpointWriter(out, rank=0, world_size=1, attempt="convert", about=about)
    fragments = _hf_fragments(_hf_entries(folder), spec, folder)
    try:
        writer.save(0, fragments, state={"converted_from": "hugging-face"}, rank_state={})
        writer.publish()
        writer.wait()
    finally:
        if not there and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
    return directory.latest(out)


def _hf_entries(folder: Path) -> dict[str, tuple[Path, TensorEntry]]:
    """Our name -> where the tensor lies."""
    index = folder / INDEX
    if index.exists():
        weight_map = read_fields(_read(index), str(index)).fields("weight_map")
        files = sorted({weight_map.text(name) for name in weight_map.names()})
    else:
        files = ["model.safetensors"]
    found: dict[str, tuple[Path, TensorEntry]] = {}
    for file in files:
        for name, entry in read_header(folder / file).items():
            ours = hf.our_name(name)
            if ours is not None:
                found[ours] = (folder / file, entry)
    return found


def _hf_fragments(
    entries: dict[str, tuple[Path, TensorEntry]], spec: ModelSpec, folder: Path
) -> Iterator[Fragment]:
    shapes = parameter_shapes(spec)
    extra = [name for name in entries if name not in shapes and not _tied_copy(name, spec)]
    if extra:
        raise CheckpointError(f"{folder}: {extra[0]} has no place in the model of config.json")
    for name, shape in shapes.items():
        if name not in entries:
            raise CheckpointError(f"{folder}: {hf.hf_name(name)} is missing")
        path, entry = entries[name]
        if entry.shape != shape:
            raise CheckpointError(
                f"{path}: {hf.hf_name(name)} has the shape {list(entry.shape)}, "
                f"config.json says {list(shape)}"
            )
        data = read_tensor(path, entry).reshape(-1).float()
        yield Fragment(name=name, kind="weight", shape=shape, box=whole(shape), start=0, data=data)


def _tied_copy(name: str, spec: ModelSpec) -> bool:
    """A tied head may be stored a second time."""
    return spec.tied_head and name == "head.weight"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}; name a folder with config.json and "
            "model.safetensors"
        ) from error


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


class _Arguments(Protocol):
    """What the parser below fills in."""

    direction: str
    source: Path
    out: Path
    precision: str
    tokenizer: Path | None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neox convert", description=__doc__)
    verbs = parser.add_subparsers(dest="direction", required=True)
    to = verbs.add_parser("to-hf", help="our checkpoint -> a folder that transformers loads")
    to.add_argument("source", type=Path, help="a checkpoint, or a folder of them (the latest)")
    to.add_argument("out", type=Path, help="folder to make")
    to.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32")
    to.add_argument("--tokenizer", type=Path, help="tokenizer.json to put beside the weights")
    back = verbs.add_parser("from-hf", help="a GPTNeoXForCausalLM folder -> our checkpoint")
    back.add_argument("source", type=Path, help="folder with config.json and model.safetensors")
    back.add_argument("out", type=Path, help="folder of checkpoints to make (step-00000000)")
    return parser


def main(argv: Sequence[str]) -> int:
    """`neox convert to-hf|from-hf SOURCE OUT`; the exit code is 3 for what cannot be read."""
    arguments = cast(_Arguments, _parser().parse_args(argv))
    source, out = arguments.source.absolute(), arguments.out.absolute()
    try:
        if arguments.direction == "to-hf":
            to_hf(source, out, precision=arguments.precision, tokenizer=arguments.tokenizer)
        else:
            out = from_hf(source, out)
    except (CheckpointError, DataError) as error:
        print(f"neox convert: {error}", file=sys.stderr)
        return ExitCode.DATA
    print(f"wrote {out}")
    return ExitCode.DONE
