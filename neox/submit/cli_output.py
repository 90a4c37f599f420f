"""What `neox-submit` prints: JSON with a schema version, or lines for a person."""

import json
from collections.abc import Iterator, Mapping, Sequence

SCHEMA_VERSION = 1


def print_json(values: Mapping[str, object]) -> None:
    """One object on standard output; its schema_version grows when a field changes its meaning."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=1, ensure_ascii=False))


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, each column as wide as its widest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def ago(seconds: float) -> str:
    """A duration as a person says it: 5 s, 3 min, 2.5 h, 4 d."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"
