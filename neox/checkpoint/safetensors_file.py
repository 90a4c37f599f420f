"""Safetensors files, streamed: 8 bytes header length, a JSON header, the tensors' bytes.

Written here and not by the library because a file is hashed block by block while it is written,
and read by byte range. Format: https://github.com/huggingface/safetensors#format
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.json_values import Fields, read_fields

BLOCK_BYTES = 4 << 20  # one hash each: small enough to check what a partial read touches

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """Where one tensor lies; `offset` counts from the first byte of the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    size: int  # bytes


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    size: int
    block_hashes: tuple[str, ...]  # SHA-256 of each BLOCK_BYTES of the file, the last one shorter
    entries: Mapping[str, TensorEntry]


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor, without a copy."""
    flat: torch.Tensor = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def write_tensors(
    path: Path,
    shapes: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    tensors: Iterable[torch.Tensor],
) -> WrittenFile:
    """Write `tensors` in the order of `shapes`, one in memory at a time, and fsync the file.

    The file at `path` is replaced only when the new one is complete. Raises OSError.
    """
    header, entries = _header(shapes)
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            hashes = _Blocks(file)
            hashes.write(memoryview(header))
            for tensor, entry in zip(tensors, entries.values(), strict=True):
                assert tensor.numel() * tensor.element_size() == entry.size
                hashes.write(tensor_bytes(tensor))
            finished = hashes.finish()
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return WrittenFile(size=hashes.size, block_hashes=finished, entries=entries)


def _header(
    shapes: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
) -> tuple[bytes, dict[str, TensorEntry]]:
    described: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    relative: dict[str, TensorEntry] = {}
    for name, (dtype, shape) in shapes.items():
        size = torch.Size(shape).numel() * dtype.itemsize
        described[name] = {
            "dtype": DTYPE_NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [offset, offset + size],
        }
        relative[name] = TensorEntry(dtype=dtype, shape=shape, offset=offset, size=size)
        offset += size
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, _shifted(relative, 8 + len(text))


def _shifted(entries: Mapping[str, TensorEntry], by: int) -> dict[str, TensorEntry]:
    return {
        name: TensorEntry(
            dtype=entry.dtype, shape=entry.shape, offset=entry.offset + by, size=entry.size
        )
        for name, entry in entries.items()
    }


class _Blocks:
    """Writes to a file and hashes what it writes, block by block."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self._hashes: list[str] = []
        self._open = hashlib.sha256()
        self._room = BLOCK_BYTES

    def write(self, data: memoryview) -> None:
        while len(data):
            piece = data[: self._room]
            self.file.write(piece)
            self._open.update(piece)
            self.size += len(piece)
            self._room -= len(piece)
            if self._room == 0:
                self._close()
            data = data[len(piece) :]

    def finish(self) -> tuple[str, ...]:
        if self._room < BLOCK_BYTES:
            self._close()
        return tuple(self._hashes)

    def _close(self) -> None:
        self._hashes.append(self._open.hexdigest())
        self._open = hashlib.sha256()
        self._room = BLOCK_BYTES


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Names, types and places of all tensors of a file.

    Raises CheckpointError when it is not a safetensors file, or ends before its tensors do.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            length = _header_length(file, total, path)
            fields = read_fields(file.read(length), str(path))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    entries = {
        name: _entry(fields.fields(name), 8 + length)
        for name in fields.names()
        if name != "__metadata__"
    }
    end = max((entry.offset + entry.size for entry in entries.values()), default=0)
    if end > total:
        raise CheckpointError(f"{path} is cut off: {total:,} bytes of {end:,}; copy it again")
    return entries


def _header_length(file: BinaryIO, total: int, path: Path) -> int:
    head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else total
    assert isinstance(length, int)
    if length + 8 > total:
        raise CheckpointError(f"{path} is not a safetensors file, or is cut off; copy it again")
    return length


def _entry(fields: Fields, start: int) -> TensorEntry:
    name = fields.text("dtype")
    if name not in DTYPES:
        raise CheckpointError(f"{fields.where}: dtype {name} is not one of {', '.join(DTYPES)}")
    first, last = fields.numbers("data_offsets")
    shape = fields.numbers("shape")
    if last - first != torch.Size(shape).numel() * DTYPES[name].itemsize:
        raise CheckpointError(f"{fields.where}: size and shape disagree; the file is damaged")
    return TensorEntry(dtype=DTYPES[name], shape=shape, offset=start + first, size=last - first)


def read_tensor(path: Path, entry: TensorEntry) -> torch.Tensor:
    """One tensor of a file; raises CheckpointError when the file ends before it does."""
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    with path.open("rb") as file:
        file.seek(entry.offset)
        got = file.readinto(tensor_bytes(tensor)) if entry.size else 0
    if got != entry.size:
        raise CheckpointError(f"{path} is cut off; copy it again")
    return tensor
