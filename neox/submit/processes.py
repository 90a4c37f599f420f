"""A process of this machine, named for good: its pid together with the time it started.

A pid alone is used again after a while; the pair is not. Read from /proc, so nothing is started.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    pid: int
    started: int  # clock ticks after boot, field 22 of /proc/PID/stat

    def __str__(self) -> str:
        return f"{self.pid}:{self.started}"

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def signal(self, number: signal.Signals, *, group: bool = False) -> bool:
        """Send a signal; False when the process is gone (then nobody else is hit)."""
        if not self.alive:
            return False
        try:
            os.killpg(self.pid, number) if group else os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until the process is gone; False when it is still there after `seconds`."""
        end = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True


def this_host() -> str:
    return os.uname().nodename


def start_time(pid: int) -> int | None:
    """Start time of a live process in clock ticks; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else int(fields[19])


def process(pid: int) -> Process | None:
    """The live process with this pid."""
    started = start_time(pid)
    return None if started is None else Process(pid, started)


def parse_process(text: str) -> Process:
    """Read "PID:STARTED" back. Raises ValueError when it is neither."""
    pid, _, started = text.partition(":")
    return Process(int(pid), int(started))
