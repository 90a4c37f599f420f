"""`neox-submit logs`: the job's output or one rank's, whole, and then as it grows."""

import re
import sys
import time
from pathlib import Path
from typing import IO

from neox.run.exit_codes import ExitCode
from neox.run.paths import RunPaths
from neox.submit.manifest import read_manifest
from neox.submit.refusal import RunDirectoryError
from neox.submit.runner import Runner
from neox.submit.track import find_job, link_states

LOOK_SECONDS = 0.5
ASK_SECONDS = 10.0  # between questions to the scheduler: it has other users
LAST_WORDS_SECONDS = 3.0  # a shared file system shows the end of a file a little later
_RANK_LOG = re.compile(r"(?P<node>.+)\.(?P<rank>[0-9]+)\.log")


def show_logs(run: RunPaths, runner: Runner, *, rank: int | None, follow: bool) -> int:
    """Print the newest job's log, or that of a rank; with `follow` until the job has ended."""
    kind = read_manifest(run).site.scheduler.kind
    if follow:
        return _follow(run, runner, kind, rank)
    path = newest_log(run, rank)
    if path is None:
        raise RunDirectoryError(_nothing_yet(run, rank))
    with path.open("rb") as stream:
        _copy(stream)
    return ExitCode.DONE


def newest_log(run: RunPaths, rank: int | None) -> Path | None:
    """The file to show; None where there is none yet.

    Without a rank: the output of the newest job that has begun to write one.
    """
    if rank is None:
        find_job(run)  # says so where nothing was submitted
        found = list(run.logs.glob("[!.]*.out"))
    else:
        named = ((path, _RANK_LOG.fullmatch(path.name)) for path in run.logs.glob("*.log"))
        found = [path for path, match in named if match and int(match["rank"]) == rank]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _follow(run: RunPaths, runner: Runner, kind: str, rank: int | None) -> int:
    find_job(run)
    tail = _Tail()
    interval = LOOK_SECONDS if kind == "local" else ASK_SECONDS
    next_question = 0.0
    quiet_since = time.monotonic()
    alive = True
    try:
        while True:
            now = time.monotonic()
            if tail.grew(newest_log(run, rank)):
                quiet_since = now
            if now >= next_question:
                alive = _alive(run, runner, kind)
                next_question = now + (interval if alive else LAST_WORDS_SECONDS)
                quiet_since = now if alive else quiet_since
            if not alive and now - quiet_since > LAST_WORDS_SECONDS:
                return ExitCode.DONE
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return ExitCode.DONE  # how one leaves a log
    finally:
        tail.close()


class _Tail:
    """Prints what is new in a file, and goes on to the next one: each link writes its own."""

    def __init__(self) -> None:
        self._stream: IO[bytes] | None = None
        self._path: Path | None = None

    def grew(self, path: Path | None) -> bool:
        """Print what came since; `path` is the newest file now."""
        grew = _copy(self._stream) if self._stream is not None else False
        if path is not None and path != self._path:
            self.close()
            self._stream, self._path = path.open("rb"), path
            grew = _copy(self._stream) or grew
        return grew

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _alive(run: RunPaths, runner: Runner, kind: str) -> bool:
    """Might anything still be written? A silent scheduler means yes."""
    return any(link.state != "ended" for link in link_states(run, runner, kind))


def _copy(stream: IO[bytes]) -> bool:
    """Everything from here to the end goes to standard output; False when there was nothing."""
    grew = False
    while block := stream.read(1 << 16):
        sys.stdout.buffer.write(block)
        grew = True
    sys.stdout.buffer.flush()
    return grew


def _nothing_yet(run: RunPaths, rank: int | None) -> str:
    if rank is None:
        return f"{run.logs}: no output yet: the job has not started; --follow waits for it"
    ranks = sorted(
        {int(m["rank"]) for p in run.logs.glob("*.log") if (m := _RANK_LOG.fullmatch(p.name))}
    )
    listed = ", ".join(map(str, ranks[:20])) or "none yet"
    return f"{run.logs}: no log of rank {rank}; ranks with a log of their own: {listed}"
