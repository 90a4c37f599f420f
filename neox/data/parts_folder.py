"""`OUTPUT.parts/`: the finished parts of a job, and how its processes agree without a message.

Everything is files, because every launcher leaves the ranks a file system and no other means is
common to all of them. Each rank encodes its share of the shards and then leaves a mark; the last
one to do so joins all parts. Parts are named by shard and chunk, never by rank, so that a job that
was killed goes on with any number of ranks.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neox.data.documents import Shard
from neox.data.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which of the processes of a job this is."""

    rank: int = 0
    world: int = 1
    job: str = "by-hand"

    def of(self, shards: Sequence[Shard]) -> list[Shard]:
        """This rank's shards: the largest first, each to the rank that has least."""
        loads = [0] * self.world
        mine = list[Shard]()
        for shard in sorted(shards, key=lambda one: (-one.size, one.number)):
            rank = loads.index(min(loads))
            loads[rank] += shard.size + 1  # + 1: empty files are dealt out, too
            if rank == self.rank:
                mine.append(shard)
        return sorted(mine, key=lambda one: one.number)


class PartsFolder:
    """`root` is of an output, `root / key` of one input, tokenizer and cut of it."""

    def __init__(self, root: Path, key: str, share: Share) -> None:
        self.root = root
        self.folder = root / key
        self._share = share

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Only one process is rank N of a job that writes here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _lock(self.root / f"lock.{self._share.rank}") as got:
            if not got:
                raise DataError(f"{self.root}: another `neox data prepare` is writing this")
            self._mark(self._share.rank).unlink(missing_ok=True)
            if self._share.rank == 0:
                self._remove_others()
            yield

    @contextlib.contextmanager
    def last(self) -> Iterator[bool]:
        """Leave this rank's mark; True in the one process that shall join, the last to leave it."""
        with contextlib.suppress(FileNotFoundError):  # joined and removed by another meanwhile
            self._mark(self._share.rank).touch()
        if not all(self._mark(rank).exists() for rank in range(self._share.world)):
            yield False
            return
        with _lock(self.root / "lock.join") as got:
            yield got and self.folder.is_dir()

    def remove(self) -> None:
        shutil.rmtree(self.root)

    def _mark(self, rank: int) -> Path:
        return self.folder / f"rank.{self._share.job}.{rank}"

    def _remove_others(self) -> None:
        """Parts of other inputs or settings will never be asked for again."""
        for path in self.root.iterdir():
            if path.is_dir() and path != self.folder:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether nobody else has it. The kernel frees it even if its owner is killed."""
    try:
        file = path.open("w")
    except FileNotFoundError:  # the folder was removed: the work is done
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass  # a file system without locks
        yield True
