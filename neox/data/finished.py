"""`OUTPUT.json` beside finished token files: which input and settings they were made from.

A job that is started again, a chain's next link or a rank that comes late then has nothing to do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neox.data.token_file import half


@dataclass(frozen=True, kw_only=True)
class Written:
    """One token file."""

    prefix: Path
    documents: int
    tokens: int


def finished_files(outputs: Sequence[Path], key: str) -> tuple[Written, ...]:
    """The files that were made from `key` and are as they were then; none if any is not."""
    try:
        saved = json.loads(half(outputs[0], ".json").read_text(encoding="utf-8"))
        if saved["key"] != key or saved["bytes"] != [_bytes(output) for output in outputs]:
            return ()
        return tuple(
            Written(prefix=output, documents=documents, tokens=tokens)
            for output, (documents, tokens) in zip(outputs, saved["counts"], strict=True)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def record(files: Sequence[Written], key: str) -> None:
    path = half(files[0].prefix, ".json")
    text = json.dumps(
        {
            "key": key,
            "bytes": [_bytes(file.prefix) for file in files],
            "counts": [[file.documents, file.tokens] for file in files],
        }
    )
    aside = half(path, ".tmp")
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(path)


def _bytes(prefix: Path) -> list[int]:
    return [half(prefix, end).stat().st_size for end in (".bin", ".idx")]
