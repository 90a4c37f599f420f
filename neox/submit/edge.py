"""Where the outside comes in: the environment, the folder, the machine, looked at once."""

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neox.submit.processes import this_host


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The facts of the moment that `neox-submit` acts on."""

    environ: Mapping[str, str]
    cwd: Path
    home: Path
    user: str
    hostname: str
    python: str  # the interpreter that runs neox-submit
    cores: int  # that this process may use
    interactive: bool  # is there a person to ask?

    @property
    def default_hostfile(self) -> str | None:
        """GPT-NeoX's own variable for the hostfile."""
        return self.environ.get("DLTS_HOSTFILE")


def look_around() -> Surroundings:
    environ = dict(os.environ)
    return Surroundings(
        environ=environ,
        cwd=Path.cwd(),
        home=Path(environ.get("HOME") or "/"),
        user=_user(environ),
        hostname=this_host(),
        python=sys.executable,
        cores=len(os.sched_getaffinity(0)),
        interactive=sys.stdin.isatty() and sys.stdout.isatty(),
    )


def _user(environ: Mapping[str, str]) -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container without this user in its passwd file
        return environ.get("USER") or str(os.getuid())
