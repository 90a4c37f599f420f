"""What the GPU did, read from a Chrome trace of torch's profiler. Imports no torch."""

import gzip
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ON_GPU = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})


class TraceError(ValueError):
    """No trace, or one without a GPU; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """A kernel or copy, in microseconds."""

    name: str
    begin: float
    end: float
    stream: int


@dataclass(frozen=True, kw_only=True)
class Trace:
    gpu: str  # the card's own name
    steps: int
    activities: tuple[Activity, ...]  # by begin

    @property
    def span(self) -> float:
        """From the first activity to the end of the last, in microseconds."""
        return max(one.end for one in self.activities) - self.activities[0].begin


def read_trace(path: Path, steps: int | None = None) -> Trace:
    """`steps`: how many it holds; else the file's name says (…steps-10-12.json.gz).

    Raises TraceError.
    """
    content = _content(path)
    found = tuple(sorted(_activities(content), key=lambda one: one.begin))
    if not found:
        raise TraceError(f"{path}: holds no GPU kernel: was it recorded on a machine without one?")
    return Trace(gpu=_gpu(content), steps=steps or _steps_named(path), activities=found)


def busy(activities: Iterable[Activity]) -> float:
    """Microseconds in which at least one of them ran; they come by begin."""
    total, until = 0.0, float("-inf")
    for one in activities:
        total += max(0.0, one.end - max(one.begin, until))
        until = max(until, one.end)
    return total


def _content(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        content = json.loads(text)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise TraceError(f"{path}: is no whole trace: {error}") from None
    if not isinstance(content, dict) or "traceEvents" not in content:
        raise TraceError(f"{path}: is no Chrome trace: it has no traceEvents")
    return content


def _activities(content: dict[str, Any]) -> Iterable[Activity]:
    for event in content["traceEvents"]:
        if event.get("cat") in ON_GPU and event.get("ph") == "X":
            begin = float(event["ts"])
            yield Activity(
                name=str(event["name"]),
                begin=begin,
                end=begin + float(event["dur"]),
                stream=int(event.get("args", {}).get("stream", event.get("tid", 0))),
            )


def _gpu(content: dict[str, Any]) -> str:
    properties = content.get("deviceProperties") or [{}]
    return str(properties[0].get("name", "a GPU"))


def _steps_named(path: Path) -> int:
    named = re.search(r"\.steps-(\d+)-(\d+)\.", path.name)
    return int(named[2]) - int(named[1]) + 1 if named else 1
