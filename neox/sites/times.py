"""The one parser and printer of walltimes: every scheduler writes them differently.

slurm  minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s          (sbatch(1), --time)
lsf    [h:]mm                                            (bsub(1), -W)
pbs    [[h:]m:]s                                         (pbs_resources(7B), walltime)
flux   360s, 6m, 1h, 1d; a bare number is seconds        (flux-run(1), FSD, RFC 23)
neox   Slurm's forms, and 2h, 90m, 1d, 45s               (TOML files and --time)
"""

import re
from typing import Literal

Dialect = Literal["slurm", "lsf", "pbs", "flux", "neox"]

MINUTE, HOUR, DAY = 60, 3600, 86400
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
_SUFFIXED = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", re.ASCII)
_SLURM = re.compile(
    r"(?:(?P<days>\d{1,5})-(?P<dh>\d{1,5})(?::(?P<dm>\d{1,5})(?::(?P<ds>\d{1,5}))?)?"
    r"|(?P<h>\d{1,9}):(?P<hm>\d{1,5}):(?P<hs>\d{1,5})"
    r"|(?P<m>\d{1,9})(?::(?P<ms>\d{1,5}))?)",
    re.ASCII,
)
_FORMS: dict[Dialect, str] = {
    "slurm": "minutes, m:s, h:m:s, d-h, d-h:m or d-h:m:s",
    "lsf": "minutes or h:mm",
    "pbs": "seconds, m:s or h:m:s",
    "flux": "a number and s, m, h or d, such as 90m",
    "neox": "h:m:s such as 2:00:00, d-h:m:s such as 1-12:00:00, or 2h, 90m, 1d",
}


class TimeError(ValueError):
    """A text that is no time in its dialect; the message shows the forms that are."""


def parse_time(text: str, dialect: Dialect = "slurm") -> int:
    """Seconds, at least 1. Raises TimeError for anything that is not a finite time."""
    seconds = _seconds(text.strip(), dialect)
    if seconds is None:
        raise TimeError(f"{text!r} is not a time; write {_FORMS[dialect]}")
    if seconds == 0:
        raise TimeError(f"{text!r} is no time at all")
    return seconds


def print_time(seconds: int, dialect: Dialect = "slurm") -> str:
    """The dialect's own form; LSF and Slurm count whole minutes or seconds, and LSF rounds up."""
    assert seconds > 0, seconds
    match dialect:
        case "lsf":
            minutes = -(-seconds // MINUTE)
            return f"{minutes // 60}:{minutes % 60:02d}"
        case "flux":
            unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
            return f"{seconds // _UNITS[unit]}{unit}"
        case "slurm" | "neox" if seconds > DAY:
            return f"{seconds // DAY}-{_clock(seconds % DAY, hours='02d')}"
        case _:
            return _clock(seconds)


def _clock(seconds: int, hours: str = "d") -> str:
    return f"{seconds // HOUR:{hours}}:{seconds % HOUR // MINUTE:02d}:{seconds % MINUTE:02d}"


def _seconds(text: str, dialect: Dialect) -> int | None:
    match dialect:
        case "slurm":
            return _slurm(text)
        case "lsf":
            return _columns(text, most=2, last_unit=MINUTE)
        case "pbs":
            return _columns(text, most=3, last_unit=1)
        case "flux":
            return _suffixed(text if not text.isdecimal() else text + "s")
        case "neox":
            return _slurm(text) or _suffixed(text)


def _slurm(text: str) -> int | None:
    match = _SLURM.fullmatch(text)
    if not match:
        return None
    part = {name: int(value) if value else 0 for name, value in match.groupdict().items()}
    return (
        part["days"] * DAY
        + (part["dh"] + part["h"]) * HOUR
        + (part["dm"] + part["hm"] + part["m"]) * MINUTE
        + (part["ds"] + part["hs"] + part["ms"])
    )


def _columns(text: str, most: int, last_unit: int) -> int | None:
    """Numbers between colons, each worth 60 of the next."""
    columns = text.split(":")
    if len(columns) > most or not all(re.fullmatch(r"\d{1,9}", c, re.ASCII) for c in columns):
        return None
    total = 0
    for column in columns:
        total = total * 60 + int(column)
    return total * last_unit


def _suffixed(text: str) -> int | None:
    match = _SUFFIXED.fullmatch(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else None
