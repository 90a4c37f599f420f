"""A hostfile in the form that mpirun and DeepSpeed share: "name slots=N", `#` comments."""

import re
from pathlib import Path

from neox.submit.refusal import UsageError

_LINE = re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(\s+(max_)?slots\s*=\s*[0-9]+)*\s*")


def read_hostfile(path: Path) -> tuple[str, ...]:
    """The host names in order. Raises UsageError with file and line.

    A hostfile that is named and not there is an error: it never means "this machine alone".
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(
            f"{path}: the hostfile cannot be read: {error.strerror}; it holds one line "
            '"NAME slots=RANKS" for each node'
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: the hostfile is not text") from None
    hosts: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _LINE.fullmatch(text)
        if not found:
            raise UsageError(f'{path}:{number}: {text[:60]!r} is not "NAME slots=RANKS"')
        host = found["host"]
        if host in hosts:
            raise UsageError(f"{path}:{number}: {host} stands on line {hosts[host]} already")
        hosts[host] = number
    if not hosts:
        raise UsageError(f'{path}: names no host; write one line "NAME slots=RANKS" for each node')
    return tuple(hosts)
