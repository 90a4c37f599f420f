"""How far a run is, read from the files that its ranks and job scripts leave in `state/`."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from neox.run.paths import RunPaths

TAIL_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Progress:
    step: int | None
    loss: float | None
    last_event: str | None
    heartbeat_seconds: float | None  # age of the last sign of life
    ended: str | None  # "finished", or why no further link starts


def progress(run: RunPaths) -> Progress:
    """Read what is there; a file that is missing or half-written is simply not known."""
    events = last_lines(run.events)
    step = next((e for e in reversed(events) if e.get("event") == "step"), {})
    return Progress(
        step=_whole(step.get("step")),
        loss=_number(step.get("loss")),
        last_event=_text(events[-1].get("event")) if events else None,
        heartbeat_seconds=_age(run.heartbeat),
        ended=_ended(run),
    )


def link_codes(run: RunPaths) -> dict[int, int]:
    """The exit code of every link that its script could still write down.

    By link, because an element of an array calls itself otherwise than its scheduler does.
    """
    lines = last_lines(run.links_log)
    pairs = [(_whole(line.get("link")), _whole(line.get("code"))) for line in lines]
    return {link: code for link, code in pairs if link is not None and code is not None}


def last_lines(path: Path) -> list[dict[str, object]]:
    """The JSON objects in the last 64 KiB of a file of lines; a cut-off line does not count."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(max(0, size - TAIL_BYTES))
            raw = stream.read()
    except OSError:
        return []
    lines = raw.split(b"\n")[1 if size > TAIL_BYTES else 0 : -1]
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _ended(run: RunPaths) -> str | None:
    if run.done.exists():
        return "finished"
    try:
        reason = run.halt.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return f"halted: {reason}" if reason else "halted"


def _age(path: Path) -> float | None:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
