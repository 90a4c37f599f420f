"""Ranges as profiles write them: core lists "48-55,60", node counts "92-183" and "2-"."""

import re
from collections.abc import Iterable

_PART = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?", re.ASCII)
_NODES = re.compile(r"(\d{1,7})(-)?(\d{1,7})?", re.ASCII)


class RangeError(ValueError):
    """A text that is no range; the message shows one."""


def parse_cores(text: str) -> tuple[int, ...]:
    """Core numbers in the order written: "48-50,60" is (48, 49, 50, 60)."""
    cores: list[int] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if not match:
            raise RangeError(f'{text!r} is not a core list; write "48-55" or "0-3,8-11"')
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low:
            raise RangeError(f"core range {part.strip()!r} runs backwards")
        cores.extend(range(low, high + 1))
    if len(set(cores)) != len(cores):
        raise RangeError(f"core list {text!r} names a core twice")
    return tuple(cores)


def print_cores(cores: Iterable[int]) -> str:
    """The shortest text: (48, 49, 50, 60) is "48-50,60". Order does not matter."""
    runs: list[tuple[int, int]] = []
    for core in sorted(cores):
        if runs and runs[-1][1] + 1 == core:
            runs[-1] = (runs[-1][0], core)
        else:
            runs.append((core, core))
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def parse_nodes(text: str) -> tuple[int, int | None]:
    """Lowest and highest node count: "5" is (5, 5), "2-" is (2, None), "92-183" is (92, 183)."""
    match = _NODES.fullmatch(text.strip())
    if not match or (match[3] and not match[2]):
        raise RangeError(f'{text!r} is not a node range; write "1", "2-" or "1-91"')
    low = int(match[1])
    high = (int(match[3]) if match[3] else None) if match[2] else low
    if low < 1 or (high is not None and high < low):
        raise RangeError(f"node range {text!r} is empty; it starts at 1 and runs upwards")
    return low, high


def holds(text: str, nodes: int) -> bool:
    """Whether a node range, as `[[env.when]]` has it, holds for this many nodes."""
    low, high = parse_nodes(text)
    return low <= nodes and (high is None or nodes <= high)
