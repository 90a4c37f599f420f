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


def _is_peer_or_machine(error: BaseException) -> bool:
    """Did another rank go away, or the hardware fail? Gloo and CUDA say so in words only."""
    from torch.distributed import DistError  # noqa: PLC0415

    words = ("gloo/", "Connection closed by peer", "ECC error", "NCCL error", "unspecified launch")
    return isinstance(error, DistError) or any(word in str(error) for word in words)


def tell(error: BaseException, paths: RunPaths | None, rank: int, job_id: str) -> ExitCode:
    """Say it: one line for what a user can mend, a traceback for what we must."""
    code = exit_code(error)
    reason = str(error) or type(error).__name__
    if code in (ExitCode.BUG, ExitCode.NODE_FAULT):
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {reason}"
    print(f"neox: {reason}", file=sys.stderr, flush=True)
    if paths is not None:
        with contextlib.suppress(OSError):  # the disk may be what failed
            _write_failed(paths, job_id, code, rank, reason)
    return code


def _write_failed(paths: RunPaths, job_id: str, code: int, rank: int, reason: str) -> None:
    """The first rank that fails writes; the others failed because of it."""
    paths.state.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), paths.failed(job_id).open("x") as file:
        json.dump({"code": int(code), "rank": rank, "reason": reason}, file)
        file.flush()
        os.fsync(file.fileno())
