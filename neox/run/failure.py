"""From an exception to one line, an exit code, and the file that job.sh reads."""

import contextlib
import json
import os
import sys
import traceback

from neox.run.exit_codes import ExitCode
from neox.run.paths import RunPaths


class BadNumbers(RuntimeError):
    """Loss or gradients were not finite for too many steps in a row."""


def exit_code(error: BaseException) -> ExitCode:
    """What the next link could do about it decides the code."""
    # imported here: by now whatever could raise them is loaded, or is quick to load
    from neox.checkpoint.errors import CheckpointError  # noqa: PLC0415
    from neox.config.places import ConfigErrors  # noqa: PLC0415
    from neox.data.errors import DataError  # noqa: PLC0415
    from neox.run.processes import RendezvousError  # noqa: PLC0415
    from neox.run.rank import RankError  # noqa: PLC0415

    known: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], ExitCode], ...] = (
        ((ConfigErrors, RankError), ExitCode.CONFIG),
        (DataError, ExitCode.DATA),
        (CheckpointError, ExitCode.REFUSED),
        (BadNumbers, ExitCode.BAD_NUMBERS),
        (RendezvousError, ExitCode.NODE_FAULT),
    )
    for kinds, code in known:
        if isinstance(error, kinds):
            return code
    if isinstance(error, OSError) and error.filename is not None:
        return ExitCode.REFUSED  # a full, missing or read-only disk
    return ExitCode.NODE_FAULT if _is_peer_or_machine(error) else ExitCode.BUG


def is_this_node(error: BaseException) -> bool:
    """Did the hardware of this rank's own node fail? A peer that went away says nothing of it."""
    words = (
        "ECC error",
        "hardware stack error",
        "over nvlink",
        "no CUDA-capable device",
        "devices are busy or unavailable",
        "device(s) is/are busy or unavailable",
    )
    return any(word in str(error) for word in words)


def _is_peer_or_machine(error: BaseException) -> bool:
    """Did another rank go away, or the hardware fail? Gloo and CUDA say so in words only."""
    from torch.distributed import DistError  # noqa: PLC0415

    words = ("gloo/", "Connection closed by peer", "NCCL error", "unspecified launch")
    peer = isinstance(error, DistError) or any(word in str(error) for word in words)
    return peer or is_this_node(error)


def tell(
    error: BaseException, paths: RunPaths | None, rank: int, job_id: str, node: str | None = None
) -> ExitCode:
    """Say it: one line for what a user can mend, a traceback for what we must.

    `node` stands in the file where its hardware is at fault, so that no later link gets it.
    """
    code = exit_code(error)
    reason = str(error) or type(error).__name__
    if code in (ExitCode.BUG, ExitCode.NODE_FAULT):
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {reason}"
    print(f"neox: {reason}", file=sys.stderr, flush=True)
    if paths is not None:
        with contextlib.suppress(OSError):  # the disk may be what failed
            blamed = node if is_this_node(error) else None
            write_failed(paths, job_id, code, rank, reason=reason, node=blamed)
    return code


def write_failed(
    paths: RunPaths, job_id: str, code: int, rank: int, *, reason: str, node: str | None
) -> None:
    """The first rank that fails writes; the others failed because of it."""
    paths.state.mkdir(parents=True, exist_ok=True)
    where = {"node": node} if node else {}
    with contextlib.suppress(FileExistsError), paths.failed(job_id).open("x") as file:
        json.dump({"code": int(code), "rank": rank, "reason": reason, **where}, file)
        file.flush()
        os.fsync(file.fileno())
