"""Worker processes that end with their parent, however it ends."""

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from neox.data.documents import Chunk
from neox.data.encoding import EncodeSettings
from neox.data.errors import DataError
from neox.data.parts import PartReport, work


class Workers:
    """`count` processes that encode chunks.

    The standard library's pools leave orphans behind a parent that was killed, because each
    worker holds both ends of the queue; here each has one end of a pipe of its own.
    """

    def __init__(self, count: int, folder: Path, settings: EncodeSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, folder, settings), daemon=True)
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)

    def encode(self, chunks: Iterable[Chunk]) -> Iterator[PartReport]:
        """Reports in the order in which chunks are done. Raises DataError if a worker fails."""
        idle, busy = list(self._connections), list[Connection]()
        for chunk in chunks:
            if not idle:
                yield from _collect(busy, idle)
            connection = idle.pop()
            try:
                connection.send(chunk)
            except OSError:
                raise _died() from None
            busy.append(connection)
        while busy:
            yield from _collect(busy, idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections:
            connection.close()
        if error is None:  # all are idle and end at once; after an error they may be busy
            for process in self._processes:
                process.join()


def _collect(busy: list[Connection], idle: list[Connection]) -> Iterator[PartReport]:
    for connection in wait(busy):
        assert isinstance(connection, Connection)
        try:
            report = connection.recv()
        except (EOFError, OSError):
            raise _died() from None
        if isinstance(report, DataError):
            raise report
        busy.remove(connection)
        idle.append(connection)
        yield report


def _died() -> DataError:
    return DataError(
        "a worker ended unexpectedly, perhaps killed for its memory; run the same command again "
        "and it goes on where it was, with fewer --workers if memory is short"
    )
