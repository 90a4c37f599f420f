"""Daemons a test bed starts, noted with pid and start time so that exactly those are stopped."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from neox.submit.processes import Process, parse_process, process


class BedError(RuntimeError):
    """The test bed cannot be brought up; the message says why, with the end of the logs."""


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise BedError(f"{what}: not ready after {seconds:g} s")
        time.sleep(0.1)


def answers(argv: list[str], env: dict[str, str] | None = None) -> bool:
    try:
        return (
            subprocess.run(argv, check=False, capture_output=True, timeout=20, env=env).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def call(argv: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120, env=env)
    if done.returncode != 0:
        raise BedError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


@dataclass
class Daemons:
    """The daemons of one bed, in the order of their start."""

    folder: Path
    noted: list[tuple[str, Process]] = field(default_factory=list)

    @property
    def record(self) -> Path:
        return self.folder / "pids"

    def note(self, name: str, pid: int) -> None:
        found = process(pid)
        if found is None:
            raise BedError(f"{name} (pid {pid}) ended at once")
        self.noted.append((name, found))
        with self.record.open("a") as file:
            file.write(f"{name} {found}\n")

    def note_from(self, name: str, pid_file: Path, seconds: float = 30) -> None:
        """Daemons that put themselves into the background leave their pid in a file."""
        wait_for(
            name, lambda: pid_file.exists() and pid_file.read_text().strip().isdigit(), seconds
        )
        self.note(name, int(pid_file.read_text()))

    def stop(self) -> None:
        """TERM in the reverse order, KILL for what stays; a recycled pid is never hit."""
        for _, one in reversed(self.noted):
            one.signal(signal.SIGTERM)
            if not one.wait(15):
                one.signal(signal.SIGKILL)
                one.wait(5)

    @classmethod
    def recorded(cls, folder: Path) -> "Daemons":
        daemons = cls(folder)
        if daemons.record.exists():
            lines = (line.split() for line in daemons.record.read_text().splitlines())
            daemons.noted = [(name, parse_process(text)) for name, text in lines]
        return daemons


def missing_commands(*names: str) -> list[str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return [name for name in names if shutil.which(name, path=path) is None]
