"""Line numbers of the values in a TOML text, which the standard library's reader does not give.

The text has been read by tomllib before, so it is known to be well-formed: this scanner only has to
walk over it. A value is named by its path of keys and array indices: ("queues", 0, "bins", 2).
"""

import bisect
import re
import tomllib
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]+")  # numbers, booleans, dates


def key_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, on which each table, key, array element and inline key begins."""
    scanner = _Scanner(text, [at for at, character in enumerate(text) if character == "\n"])
    scanner.document()
    return scanner.lines


@dataclass
class _Scanner:
    text: str
    line_ends: list[int]
    at: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    tables_in: dict[Path, int] = field(default_factory=dict)  # arrays of tables: how many so far

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._key_and_value(table)

    def _header(self) -> Path:
        start = self.at
        several = self.text.startswith("[[", self.at)
        self.at += 2 if several else 1
        keys = self._dotted_key()
        self.at += 2 if several else 1
        path: Path = ()
        for key in keys[:-1]:
            self._mark((*path, key), start)  # [a.b] alone makes the table a too
            path = self._inside((*path, key))
        path = (*path, keys[-1])
        self._mark(path, start)
        if several:
            self.tables_in[path] = self.tables_in.get(path, 0) + 1
            self._mark(self._inside(path), start)
        return self._inside(path)

    def _inside(self, path: Path) -> Path:
        """An array of tables stands for the last of its tables."""
        return (*path, self.tables_in[path] - 1) if path in self.tables_in else path

    def _key_and_value(self, table: Path) -> None:
        start = self.at
        path = table
        for key in self._dotted_key():
            path = (*path, key)
            self._mark(path, start)
        assert self.text[self.at] == "=", self.at
        self.at += 1
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        match self.text[self.at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_PLAIN)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip(_BLANK)] != "]":
            self._mark((*path, index), self.at)
            self._value((*path, index))
            index += 1
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self.text[self._skip(_BLANK)] != "}":
            self._key_and_value(path)
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1

    def _dotted_key(self) -> list[str]:
        keys = [self._simple_key()]
        while self.text[self._skip(_SPACE)] == ".":
            self.at += 1
            keys.append(self._simple_key())
        return keys

    def _simple_key(self) -> str:
        self._skip(_SPACE)
        if self.text[self.at] not in "\"'":
            return self._take(_BARE_KEY)
        quoted: str = tomllib.loads(f"key = {self._take(_STRING)}")["key"]
        return quoted

    def _mark(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect.bisect_left(self.line_ends, at) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, (self.at, self.text[self.at : self.at + 40])
        self.at = match.end()
        return match[0]
