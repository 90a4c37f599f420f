"""Saves checkpoints while training goes on.

    writer.save(step, engine.fragments(), state=..., rank_state=...)   every rank; copies, returns
    writer.publish()      the step's numbers were good: it may become visible
    writer.wait()         done; raises what went wrong in the background

Ranks meet through the shared file system: each writes its tensors and then its report
(rank-00003.json) into the draft folder; rank 0 waits for all reports, writes state and manifest
and renames the folder. `attempt` is one text, the same in all ranks and new in each job, so that
nobody reads the report of a job that died.
"""

import contextlib
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from neox.checkpoint import directory
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.fragment import Fragment, Kind
from neox.checkpoint.json_values import Fields, read_fields
from neox.checkpoint.manifest import (
    About,
    Manifest,
    StoredFile,
    StoredPiece,
    incomplete,
    read_stored_file,
    write_manifest,
)
from neox.checkpoint.reshard import FlatPiece
from neox.checkpoint.safetensors_file import BLOCK_BYTES, write_tensors

LOOK_SECONDS = 0.05  # how often rank 0 looks for reports


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One rank's part of a checkpoint, copied to the CPU."""

    step: int
    draft: Path
    fragments: tuple[Fragment, ...]
    state: Mapping[str, object]  # of the run; rank 0's is kept
    rank_state: Mapping[str, object]  # of this rank: random number generators


class CheckpointWriter:
    """One rank's end of saving. At most one save is under way; the next one waits for it."""

    def __init__(
        self,
        root: Path,
        *,
        rank: int,
        world_size: int,
        attempt: str,
        about: About,
        keep_last: int | None = None,
        patience_seconds: float = 1800.0,
    ) -> None:
        """`keep_last` is how many checkpoints stay (None: all). Rank 0 tidies the folder."""
        self.root = root
        self.rank = rank
        self.world_size = world_size
        self.attempt = attempt
        self.about = about
        self.keep_last = keep_last
        self.patience_seconds = patience_seconds
        self._saves = 0
        # memory of the last snapshot, used again: touching fresh pages takes longer than the copy
        self._buffers: dict[tuple[str, Kind, int], torch.Tensor] = {}
        self._thread: threading.Thread | None = None
        self._verdict: _Verdict | None = None
        self._failure: Exception | None = None
        if rank == 0:
            directory.tidy(root, attempt)

    def save(
        self,
        step: int,
        fragments: Iterable[Fragment],
        *,
        state: Mapping[str, object],
        rank_state: Mapping[str, object],
    ) -> None:
        """Copy everything to the CPU and write it in the background.

        Raises CheckpointError when an earlier save failed.
        """
        self.wait()
        self._saves += 1
        draft = directory.draft_folder(self.root, step, f"{self.attempt}.{self._saves}")
        snapshot = Snapshot(
            step=step,
            draft=draft,
            fragments=tuple(self._copied(each) for each in fragments if len(each.data)),
            # through JSON now: the loop may change what it passed
            state=json.loads(json.dumps(state)),
            rank_state=json.loads(json.dumps(rank_state)),
        )
        self._verdict = _Verdict()
        self._thread = threading.Thread(
            target=self._run, args=(snapshot, self._verdict), name="checkpoint", daemon=True
        )
        self._thread.start()

    def publish(self) -> None:
        """Let the save under way become visible once all ranks have written. Does not wait."""
        if self._verdict is not None:
            self._verdict.give(good=True)

    def discard(self) -> None:
        """Throw the save under way away: the numbers of its step were bad. Does not wait."""
        if self._verdict is not None:
            self._verdict.give(good=False)

    def wait(self) -> None:
        """Until the save is published (rank 0) or written (others), after `publish` or `discard`.

        Raises CheckpointError when it failed.
        """
        if self._thread is not None:
            assert self._verdict is not None and self._verdict.given, "publish or discard first"
            self._thread.join()
            self._thread = self._verdict = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _copied(self, fragment: Fragment) -> Fragment:
        """`fragment` with its data on the CPU, in memory that is ours until the next save."""
        key, data = (fragment.name, fragment.kind, fragment.start), fragment.data.detach()
        buffer = self._buffers.get(key)
        if buffer is None or buffer.dtype != data.dtype or buffer.numel() != data.numel():
            buffer = self._buffers[key] = torch.empty(data.numel(), dtype=data.dtype)
        buffer.copy_(data.reshape(-1))
        return replace(fragment, data=buffer)

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self, snapshot: Snapshot, verdict: "_Verdict") -> None:
        try:
            write_rank(snapshot, self.rank)
            if verdict.is_good() and self.rank == 0:
                reports = collect(snapshot, self.world_size, self.patience_seconds)
                finish(snapshot, reports, self.root, self.about)
                if self.keep_last is not None:
                    directory.retain(self.root, self.keep_last)
        except OSError as error:
            self._failure = _unwritable(snapshot.draft, error)
        except Exception as error:  # a bug too must reach the loop: `wait` raises it
            self._failure = error
        self._clear(snapshot, verdict)

    def _clear(self, snapshot: Snapshot, verdict: "_Verdict") -> None:
        """Leave nothing half-written: rank 0 removes the draft, others say that they failed."""
        if self._failure is not None and self.rank != 0:
            with contextlib.suppress(OSError):
                _failed(snapshot.draft, self.rank).write_text(str(self._failure))
        if not verdict.is_good():
            self._failure = None  # rank 0 may have removed the draft under this rank's hands
        if self.rank == 0 and (self._failure is not None or not verdict.good):
            shutil.rmtree(snapshot.draft, ignore_errors=True)


class _Verdict:
    """Whether a save may become visible; given once, by the loop."""

    def __init__(self) -> None:
        self.good = False
        self._given = threading.Event()

    @property
    def given(self) -> bool:
        return self._given.is_set()

    def give(self, *, good: bool) -> None:
        self.good = good
        self._given.set()

    def is_good(self) -> bool:
        self._given.wait()
        return self.good


def tensors_name(rank: int) -> str:
    return f"rank-{rank:05d}.safetensors"


def _report(draft: Path, rank: int) -> Path:
    return draft / f"rank-{rank:05d}.json"


def _failed(draft: Path, rank: int) -> Path:
    return draft / f"rank-{rank:05d}.failed"


def write_rank(snapshot: Snapshot, rank: int) -> None:
    """Write one rank's tensors, then its report, each complete or absent. Raises OSError."""
    snapshot.draft.mkdir(parents=True, exist_ok=True)
    keys = {_key(each): each for each in snapshot.fragments}
    assert len(keys) == len(snapshot.fragments), "two fragments of one tensor start alike"
    written = write_tensors(
        snapshot.draft / tensors_name(rank),
        {key: (each.data.dtype, _stored_shape(each)) for key, each in keys.items()},
        (each.data for each in keys.values()),
    )
    file = StoredFile(
        name=tensors_name(rank),
        size=written.size,
        block_bytes=BLOCK_BYTES,
        block_hashes=written.block_hashes,
        pieces=tuple(_stored(each, written.entries[key].offset) for key, each in keys.items()),
    )
    report = {"file": file.to_json(), "rank_state": snapshot.rank_state}
    directory.write_file(_report(snapshot.draft, rank), json.dumps(report).encode())


def _key(fragment: Fragment) -> str:
    """Name inside the file: weight/layers.0.mlp.linear1.bias, with @start when it is a part."""
    plain = f"{fragment.kind}/{fragment.name}"
    return plain if _is_whole(fragment) else f"{plain}@{fragment.box.starts}+{fragment.start}"


def _is_whole(fragment: Fragment) -> bool:
    return len(fragment.data) == torch.Size(fragment.shape).numel()


def _stored_shape(fragment: Fragment) -> tuple[int, ...]:
    return fragment.shape if _is_whole(fragment) else (len(fragment.data),)


def _stored(fragment: Fragment, offset: int) -> StoredPiece:
    return StoredPiece(
        name=fragment.name,
        kind=fragment.kind,
        shape=fragment.shape,
        piece=FlatPiece(box=fragment.box, start=fragment.start, length=len(fragment.data)),
        dtype=fragment.data.dtype,
        offset=offset,
    )


def collect(snapshot: Snapshot, world_size: int, patience_seconds: float) -> list[Fields]:
    """Wait for the reports of all ranks.

    Raises CheckpointError when a rank says that it failed or is not heard of in time.
    """
    deadline = time.monotonic() + patience_seconds
    for rank in range(world_size):
        while not _report(snapshot.draft, rank).exists():
            if _failed(snapshot.draft, rank).exists():
                reason = _failed(snapshot.draft, rank).read_text()
                raise CheckpointError(f"rank {rank} did not save step {snapshot.step}: {reason}")
            if time.monotonic() > deadline:
                raise CheckpointError(
                    f"rank {rank} has not written its part of step {snapshot.step} into "
                    f"{snapshot.draft} after {patience_seconds:.0f} s; is that folder on a file "
                    "system that all nodes share?"
                )
            time.sleep(LOOK_SECONDS)
    return [_read_report(_report(snapshot.draft, rank)) for rank in range(world_size)]


def _read_report(path: Path) -> Fields:
    return read_fields(path.read_bytes(), str(path))


def finish(snapshot: Snapshot, reports: list[Fields], root: Path, about: About) -> Path:
    """Write state and manifest and publish. Raises OSError, or CheckpointError for a gap."""
    files = tuple(read_stored_file(report.fields("file")) for report in reports)
    gap = incomplete(files)
    if gap is not None:
        raise CheckpointError(f"the ranks together did not write step {snapshot.step}: {gap}")
    state = {
        "step": snapshot.step,
        "run": snapshot.state,
        "ranks": [report.fields("rank_state").values for report in reports],
    }
    text = json.dumps(state, indent=1).encode()
    directory.write_file(snapshot.draft / directory.STATE, text)
    manifest = Manifest(
        step=snapshot.step,
        state_hash=hashlib.sha256(text).hexdigest(),
        about=about,
        files=files,
    )
    directory.write_file(snapshot.draft / directory.MANIFEST, write_manifest(manifest))
    for rank in range(len(reports)):
        _report(snapshot.draft, rank).unlink()
    return directory.publish(snapshot.draft, root, snapshot.step)


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write a checkpoint to {path}: {error.strerror}; free space there, or set `save` "
        "to a folder that can be written"
    )
