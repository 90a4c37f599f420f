"""The folder of a run's checkpoints: which are there, which is the latest, which may go.

checkpoints/step-00001000/          complete: it got this name by one rename
            .step-00001000.X.tmp/   being written by attempt X, or left by a job that died
            .step-00001000.replaced/  old one while a new one of the same step takes its name
            .step-00001000.trash/   being deleted
"""

import os
import re
import shutil
from pathlib import Path

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.manifest import read_manifest

MANIFEST = "manifest.json"
STATE = "state.json"


def step_folder(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def draft_folder(root: Path, step: int, attempt: str) -> Path:
    return root / f".step-{step:08d}.{attempt}.tmp"


def steps(root: Path) -> tuple[int, ...]:
    """Steps of the checkpoints under `root` that were published, ascending."""
    try:
        names = [path.name for path in root.iterdir()]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CheckpointError(f"cannot look into {root}: {error.strerror}") from error
    found = (re.fullmatch(r"step-(\d{8,})", name) for name in names)
    return tuple(sorted(int(match[1]) for match in found if match))


def latest(root: Path) -> Path:
    """The newest published checkpoint; raises CheckpointError when there is none."""
    found = steps(root)
    if not found:
        raise CheckpointError(
            f"no checkpoint in {root}; name the folder that holds step-00000000 folders, "
            "or train first"
        )
    return step_folder(root, found[-1])


def at_step(root: Path, step: int) -> Path:
    """The checkpoint of one step; raises CheckpointError naming those that exist."""
    found = steps(root)
    if step not in found:
        there = ", ".join(map(str, found)) or "none"
        raise CheckpointError(f"no checkpoint of step {step} in {root}; there are: {there}")
    return step_folder(root, step)


def tidy(root: Path, attempt: str = "") -> None:
    """Remove what dead jobs left behind, and finish a replacement that was cut short.

    One process calls it, before anything is loaded; drafts of `attempt` stay. Nothing is
    removed that could be loaded. Raises CheckpointError when the file system refuses.
    """
    try:
        for path in sorted(root.glob(".step-*.*")):
            _tidy_one(path, attempt)
    except OSError as error:
        raise CheckpointError(f"cannot tidy {root}: {error}") from error


def _tidy_one(path: Path, attempt: str) -> None:
    step, suffix = path.name.removeprefix(".").split(".", 1)
    published = path.with_name(step)
    if suffix == "replaced" and not published.exists():
        path.rename(published)
    elif not (attempt and suffix.startswith(attempt) and suffix.endswith(".tmp")):
        shutil.rmtree(path)


def publish(draft: Path, root: Path, step: int) -> Path:
    """Give a complete draft its name. A checkpoint of the same step gives way to it."""
    final = step_folder(root, step)
    replaced = root / f".{final.name}.replaced"
    sync_folder(draft)
    if final.exists():
        final.rename(replaced)
    draft.rename(final)
    sync_folder(root)
    if replaced.exists():
        shutil.rmtree(replaced)
    return final


def retain(root: Path, keep: int) -> None:
    """Delete all that is older than the `keep` newest checkpoints whose files are all there."""
    assert keep >= 1
    good = 0
    for step in reversed(steps(root)):
        folder = step_folder(root, step)
        if good >= keep:
            discard(folder)
        elif looks_whole(folder):
            good += 1


def discard(folder: Path) -> None:
    """Delete a folder; from the first moment on nobody takes it for a checkpoint."""
    trash = folder.with_name(f".{folder.name}.trash")
    try:
        folder.rename(trash)
        shutil.rmtree(trash)
    except OSError as error:
        raise CheckpointError(f"cannot delete the old checkpoint {folder}: {error}") from error


def looks_whole(folder: Path) -> bool:
    """Whether the manifest is sound and each file has its size; hashes are not computed."""
    path = folder / MANIFEST
    try:
        manifest = read_manifest(path.read_bytes(), str(path))
        return all((folder / file.name).stat().st_size == file.size for file in manifest.files)
    except (OSError, CheckpointError):
        return False


def write_file(path: Path, content: bytes) -> None:
    """Write aside, fsync, rename."""
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
