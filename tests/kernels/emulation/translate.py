"""Rewrites `kernel<<<grid, block, 0, stream>>>(arguments)` to C++, and builds a library."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

_LAUNCH = re.compile(r"(\w+<[^<>;]*>)<<<")
HEADERS = Path(__file__).resolve().parent


def build(sources: Path, folder: Path, *flags: str) -> Path:
    """libneox.so for this CPU, compiled with these flags too."""
    for header in sources.glob("*.h"):
        (folder / header.name).write_text(translated(header.read_text()))
    units = []
    for unit in sources.glob("*.cu"):
        units.append(folder / f"{unit.stem}.cpp")
        units[-1].write_text(translated(unit.read_text()))
    with ThreadPoolExecutor(max_workers=2) as pool:
        objects = list(pool.map(partial(_compile, flags), units))
    library = folder / "libneox.so"
    _run("g++", "-shared", *flags, *map(str, objects), "-o", str(library))
    return library


def translated(text: str) -> str:
    while launch := _LAUNCH.search(text):
        configured = text.index(">>>", launch.end())
        grid, block, *_ = _arguments(text[launch.end() : configured])
        opening = configured + len(">>>")
        closing = _closing(text, opening)
        call = f"{launch[1]}{text[opening : closing + 1]}"
        rewritten = f"emulated::launch({grid}, {block}, [&] {{ {call}; }})"
        text = text[: launch.start()] + rewritten + text[closing + 1 :]
    return text


def _arguments(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _closing(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    raise AssertionError("a bracket that is not closed")


def _compile(more: tuple[str, ...], unit: Path) -> Path:
    out = unit.with_suffix(".o")
    flags = ("-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-D__HIP__", f"-I{HEADERS}")
    _run("g++", *flags, *more, "-c", str(unit), "-o", str(out))
    return out


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
