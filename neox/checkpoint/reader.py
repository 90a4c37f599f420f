"""Reads a checkpoint of any geometry, only the bytes that are asked for, each block checked."""

import hashlib
import mmap
from pathlib import Path

import numpy as np
import torch

from neox.checkpoint import directory
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.fragment import Kind
from neox.checkpoint.json_values import Fields, read_fields
from neox.checkpoint.manifest import Manifest, StoredFile, StoredPiece, read_manifest
from neox.checkpoint.reshard import FlatPiece, Overlap, overlap
from neox.checkpoint.safetensors_file import tensor_bytes
from neox.parallel.sharding import Box, whole

INSTEAD = "use an older checkpoint (`iteration: STEP`), or copy it again"


class Reader:
    """A FragmentReader over one published checkpoint folder.

    Opening checks manifest, state and the size of every file; reading checks the hash of each
    block that it touches, once. Raises CheckpointError naming the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _manifest(folder)
        self._files = {
            file.name: _CheckedFile(folder / file.name, file) for file in self.manifest.files
        }
        self._pieces: dict[tuple[str, Kind], list[tuple[_CheckedFile, StoredPiece]]] = {}
        for file in self.manifest.files:
            for piece in file.pieces:
                found = self._pieces.setdefault((piece.name, piece.kind), [])
                found.append((self._files[file.name], piece))
        self._state = _state(folder, self.manifest)

    @property
    def step(self) -> int:
        return self.manifest.step

    @property
    def state(self) -> dict[str, object]:
        """The state of the run, as it was saved."""
        return self._state.fields("run").values

    @property
    def rank_states(self) -> tuple[dict[str, object], ...]:
        """What each rank saved of its own; of use only where the world size is the same."""
        return tuple(rank.values for rank in self._state.objects("ranks"))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Logical name -> whole shape of every weight."""
        weights = {name: found for (name, kind), found in self._pieces.items() if kind == "weight"}
        return {name: found[0][1].shape for name, found in weights.items()}

    def has(self, name: str, kind: Kind) -> bool:
        return (name, kind) in self._pieces

    def read_whole(self, name: str, kind: Kind = "weight") -> torch.Tensor:
        """The whole tensor, in its shape."""
        shape = self._found(name, kind)[0][1].shape
        flat = self.read(name, kind, whole(shape), 0, torch.Size(shape).numel())
        return flat.reshape(shape)

    def read(self, name: str, kind: Kind, box: Box, start: int, length: int) -> torch.Tensor:
        found = self._found(name, kind)
        shape, dtype = found[0][1].shape, found[0][1].dtype
        if len(shape) != len(box.stops) or any(
            stop > extent for stop, extent in zip(box.stops, shape, strict=True)
        ):
            raise CheckpointError(
                f"{self.folder}: {name} has the shape {list(shape)}, the model wants elements up "
                f"to {list(box.stops)}; the checkpoint belongs to another model"
            )
        target = FlatPiece(box=box, start=start, length=length)
        result = torch.empty(length, dtype=dtype)
        if length == 0:
            return result
        parts = [(file, piece, overlap(piece.piece, target, shape)) for file, piece in found]
        if not _covers([part for _, _, part in parts], length):
            raise CheckpointError(
                f"{self.folder}: {kind} of {name} is not whole in its files; {INSTEAD}"
            )
        for file, piece, part in parts:
            file.copy(piece, part, result)
        return result

    def verify(self) -> None:
        """Check every byte; raises CheckpointError naming the first file that differs."""
        for file in self._files.values():
            file.verify()

    def _found(self, name: str, kind: Kind) -> list[tuple["_CheckedFile", StoredPiece]]:
        if (name, kind) not in self._pieces:
            raise CheckpointError(
                f"{self.folder} holds no {kind} of {name}; the checkpoint belongs to another "
                "model, or was saved without its optimizer"
            )
        return self._pieces[name, kind]


def open_checkpoint(path: Path, step: int | None = None) -> Reader:
    """Read PATH, a checkpoint or a folder of checkpoints (then the latest, or that of `step`).

    Raises CheckpointError when there is none.
    """
    if step is None and (path / directory.MANIFEST).exists():
        return Reader(path)
    return Reader(directory.latest(path) if step is None else directory.at_step(path, step))


def _manifest(folder: Path) -> Manifest:
    path = folder / directory.MANIFEST
    return read_manifest(_text(path), str(path))


def _state(folder: Path, manifest: Manifest) -> Fields:
    path = folder / directory.STATE
    text = _text(path)
    if hashlib.sha256(text).hexdigest() != manifest.state_hash:
        raise CheckpointError(f"{path} is damaged: its hash is another; {INSTEAD}")
    return read_fields(text, str(path))


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; {INSTEAD}") from error


def _covers(parts: list[Overlap], length: int) -> bool:
    """Whether the segments, which may touch but not overlap, fill [0, length)."""
    targets = np.concatenate([part.targets for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    order = np.lexsort((lengths, targets))
    ends = np.cumsum(lengths[order])
    begins = ends - lengths[order]
    return bool((targets[order] == begins).all()) and int(lengths.sum()) == length


class _CheckedFile:
    """A mapped file whose blocks are hashed before their bytes are used."""

    def __init__(self, path: Path, file: StoredFile) -> None:
        self.path = path
        self.file = file
        self._checked = [False] * len(file.block_hashes)
        try:
            with path.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise CheckpointError(f"cannot read {path}: {error}; {INSTEAD}") from error
        if len(self._map) != file.size:
            raise CheckpointError(
                f"{path} has {len(self._map):,} bytes instead of {file.size:,}; {INSTEAD}"
            )
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)

    def copy(self, piece: StoredPiece, part: Overlap, result: torch.Tensor) -> None:
        """Copy the segments of `part` from this file into the flat tensor `result`."""
        if not len(part.lengths):
            return
        width = piece.dtype.itemsize
        sources = piece.offset + part.sources * width
        sizes = part.lengths * width
        self._check(int(sources.min()), int((sources + sizes).max()))
        target = np.frombuffer(tensor_bytes(result), dtype=np.uint8)
        for source, at, size in zip(
            sources.tolist(), (part.targets * width).tolist(), sizes.tolist(), strict=True
        ):
            target[at : at + size] = self._bytes[source : source + size]

    def verify(self) -> None:
        self._check(0, self.file.size)

    def _check(self, begin: int, end: int) -> None:
        size = self.file.block_bytes
        for block in range(begin // size, -(-end // size)):
            if self._checked[block]:
                continue
            data = self._bytes[block * size : (block + 1) * size]
            if hashlib.sha256(data.data).hexdigest() != self.file.block_hashes[block]:
                raise CheckpointError(
                    f"{self.path} is damaged between bytes {block * size:,} and "
                    f"{block * size + len(data):,}; {INSTEAD}"
                )
            self._checked[block] = True
