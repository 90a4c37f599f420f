"""How far a long command is, on one line of the terminal."""

import shutil
import time
from typing import TextIO

EVERY = 0.2  # seconds between redraws
EVERY_LINE = 10.0  # seconds between lines where there is no terminal to redraw
BAR = 24
TITLE = 21  # letters; with it, all of the line but its longest times fits 80


class Progress:
    """Shows done of total bytes, MB/s, tokens/s where there are some, and the time left."""

    def __init__(self, total: int, stream: TextIO, *, shown: bool, title: str = "") -> None:
        self._total = max(total, 1)
        self._title = title and f"{title[:TITLE]:{TITLE}} "
        self._stream = stream
        self._shown = shown
        self._redraws = stream.isatty()
        self._begin = time.monotonic()
        self._last = self._begin
        self._skipped = 0

    def skip(self, size: int) -> None:
        """Bytes that an earlier run had done count as done, but not for the speed."""
        self._skipped += size

    def update(self, done: int, tokens: int | None = None) -> None:
        now = time.monotonic()
        if not self._shown or now - self._last < (EVERY if self._redraws else EVERY_LINE):
            return
        self._last = now
        self._draw(done, tokens, max(now - self._begin, 1e-9))

    def end(self) -> None:
        if self._shown and self._redraws:
            self._stream.write("\r\033[K")  # the summary follows
            self._stream.flush()

    def _draw(self, done: int, tokens: int | None, seconds: float) -> None:
        share = min(1.0, done / self._total)
        rate = max(done - self._skipped, 0) / seconds
        left = _clock((self._total - done) / rate) if rate else "?"
        filled = round(BAR * share)
        text = f"{self._title}{'#' * filled}{'.' * (BAR - filled)} {share:4.0%}  "
        text += f"{rate / 1e6:.1f} MB/s  "
        text += "" if tokens is None else f"{tokens / seconds:,.0f} tokens/s  "
        text += f"{left} left"
        if self._redraws:  # a line that wraps could not be drawn over
            text = f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}"
        self._stream.write(text if self._redraws else f"{text}\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
