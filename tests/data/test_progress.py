"""The line that a long command draws over and over."""

import io

import pytest

from neox.data import progress
from neox.data.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds, turned by hand."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "80")
    return now


def drawn(terminal):
    return terminal.getvalue().rpartition("\r\033[K")[2]


def test_speed_and_time_left(clock):
    terminal = Terminal()
    bar = Progress(100_000_000, terminal, shown=True)
    clock[0] = 10.0
    bar.update(20_000_000, 5_000_000)
    assert drawn(terminal) == "#####...................  20%  2.0 MB/s  500,000 tokens/s  0:40 left"
    bar.end()
    assert drawn(terminal) == ""


def test_what_an_earlier_run_did_is_done_but_no_speed(clock):
    terminal = Terminal()
    bar = Progress(100_000_000, terminal, shown=True)
    bar.skip(30_000_000)
    bar.skip(20_000_000)
    clock[0] = 10.0
    bar.update(60_000_000, 0)
    assert " 60%  1.0 MB/s " in drawn(terminal) and "0:40 left" in drawn(terminal)


def test_it_fits_the_terminal(clock, monkeypatch):
    terminal = Terminal()
    title = "2020-09-08-arxiv-extracts-nofallback-until-2007-068.tar.gz (1 of 1)"
    bar = Progress(9_000_000_000_000, terminal, shown=True, title=title)
    clock[0] = 10.0
    bar.update(9_000_000)
    assert len(drawn(terminal)) <= 79
    monkeypatch.setenv("COLUMNS", "40")
    clock[0] = 20.0
    bar.update(9_900_000)
    assert len(drawn(terminal)) == 39


def test_no_terminal_gets_a_line_now_and_then_or_none(clock):
    for shown, lines in ((True, 2), (False, 0)):
        clock[0] = 0.0
        stream = io.StringIO()
        bar = Progress(100, stream, shown=shown)
        for second in range(1, 26):
            clock[0] = float(second)
            bar.update(second, second)
        bar.end()
        assert stream.getvalue().count("\n") == lines and "\033" not in stream.getvalue()
