"""What a checkpoint says about itself: every file, every piece of every tensor, every hash."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import get_args

import torch

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.fragment import Kind
from neox.checkpoint.json_values import Fields, read_fields
from neox.checkpoint.reshard import FlatPiece
from neox.checkpoint.safetensors_file import DTYPE_NAMES, DTYPES
from neox.parallel.sharding import Box

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StoredPiece:
    """A fragment in a file: `offset` counts bytes from the first of the file."""

    name: str
    kind: Kind
    shape: tuple[int, ...]  # of the whole tensor
    piece: FlatPiece
    dtype: torch.dtype
    offset: int

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": self.shape,
            "starts": self.piece.box.starts,
            "stops": self.piece.box.stops,
            "start": self.piece.start,
            "length": self.piece.length,
            "dtype": DTYPE_NAMES[self.dtype],
            "offset": self.offset,
        }


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One rank's file of tensors."""

    name: str
    size: int
    block_bytes: int
    block_hashes: tuple[str, ...]
    pieces: tuple[StoredPiece, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "size": self.size,
            "block_bytes": self.block_bytes,
            "block_hashes": self.block_hashes,
            "pieces": [piece.to_json() for piece in self.pieces],
        }


@dataclass(frozen=True, kw_only=True)
class About:
    """Where a checkpoint comes from."""

    model: Mapping[str, object]  # ModelSpec, field by field
    configs: Mapping[str, str]  # file name -> original text
    geometry: Mapping[str, int]  # data, tensor, pipeline sizes, ZeRO stage ...
    versions: Mapping[str, str]  # neox, torch, deepspeed ...


@dataclass(frozen=True, kw_only=True)
class Manifest:
    step: int
    state_hash: str  # SHA-256 of state.json
    about: About
    files: tuple[StoredFile, ...]


def write_manifest(manifest: Manifest) -> bytes:
    """The text of manifest.json; its own hash stands in it, over everything else."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "step": manifest.step,
        "state_hash": manifest.state_hash,
        "about": asdict(manifest.about),
        "files": [file.to_json() for file in manifest.files],
    }
    return json.dumps(content | {"hash": _digest(content)}, indent=1).encode()


def read_manifest(text: bytes, where: str) -> Manifest:
    """Raises CheckpointError naming `where` and the key that is wrong."""
    fields = read_fields(text, where)
    version = fields.integer("schema_version")
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{where}: schema_version is {version}, this NeoX reads {SCHEMA_VERSION}; "
            "load it with the NeoX that wrote it and save again"
        )
    content = {name: value for name, value in fields.values.items() if name != "hash"}
    if fields.text("hash") != _digest(content):
        raise CheckpointError(f"{where} is damaged: its hash is another; use an older checkpoint")
    return Manifest(
        step=fields.integer("step"),
        state_hash=fields.text("state_hash"),
        about=_about(fields.fields("about")),
        files=tuple(read_stored_file(file) for file in fields.objects("files")),
    )


def read_stored_file(fields: Fields) -> StoredFile:
    return StoredFile(
        name=fields.text("name"),
        size=fields.integer("size"),
        block_bytes=fields.integer("block_bytes"),
        block_hashes=fields.texts("block_hashes"),
        pieces=tuple(_piece(piece) for piece in fields.objects("pieces")),
    )


def _piece(fields: Fields) -> StoredPiece:
    kind = fields.text("kind")
    known: tuple[Kind, ...] = get_args(Kind)
    for each in known:
        if each == kind:
            break
    else:
        raise CheckpointError(f"{fields.where}: kind {kind} is not one of {', '.join(known)}")
    return StoredPiece(
        name=fields.text("name"),
        kind=each,
        shape=fields.numbers("shape"),
        piece=FlatPiece(
            box=Box(starts=fields.numbers("starts"), stops=fields.numbers("stops")),
            start=fields.integer("start"),
            length=fields.integer("length"),
        ),
        dtype=DTYPES[fields.text("dtype")],
        offset=fields.integer("offset"),
    )


def _about(fields: Fields) -> About:
    configs, geometry = fields.fields("configs"), fields.fields("geometry")
    versions = fields.fields("versions")
    return About(
        model=fields.fields("model").values,
        configs={name: configs.text(name) for name in configs.names()},
        geometry={name: geometry.integer(name) for name in geometry.names()},
        versions={name: versions.text(name) for name in versions.names()},
    )


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def incomplete(files: Iterable[StoredFile]) -> str | None:
    """The first tensor that the pieces of `files` do not cover exactly once, in words."""
    held: dict[tuple[str, Kind], int] = {}
    full: dict[tuple[str, Kind], int] = {}
    for file in files:
        for piece in file.pieces:
            key = (piece.name, piece.kind)
            full[key] = math.prod(piece.shape)
            held[key] = held.get(key, 0) + piece.piece.length
    for (name, kind), count in held.items():
        if count != full[name, kind]:
            return f"{kind} of {name}: {count:,} elements of {full[name, kind]:,}"
    return None
