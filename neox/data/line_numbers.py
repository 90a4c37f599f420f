"""Line numbers in files of which workers read pieces."""

from dataclasses import dataclass
from pathlib import Path

BLOCK = 1 << 24  # bytes read at a time


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A document that could not be used."""

    path: str
    line: int  # from 1, counted from the byte `begin` of the file; 0: the file is the document
    begin: int
    reason: str


class LineNumbers:
    """Places of bad lines. Asked in file order, it reads each file once, and only if it must."""

    def __init__(self) -> None:
        self._path = ""
        self._at = 0  # bytes read
        self._ends = 0  # of lines among them

    def place(self, bad: BadLine) -> str:
        """`FILE:LINE`."""
        if not bad.line:
            return bad.path
        return f"{bad.path}:{self._before(bad.path, bad.begin) + bad.line}"

    def _before(self, path: str, begin: int) -> int:
        """Lines that begin before the byte `begin`."""
        if begin == 0:
            return 0
        if path != self._path or begin - 1 < self._at:
            self._path, self._at, self._ends = path, 0, 0
        with Path(path).open("rb") as file:
            file.seek(self._at)
            while self._at < begin - 1:  # a line that begins at `begin` is not before it
                block = file.read(min(begin - 1 - self._at, BLOCK))
                self._ends += block.count(b"\n")
                self._at += len(block)
        return self._ends + 1
