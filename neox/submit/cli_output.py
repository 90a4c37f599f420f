"""What `neox-submit` prints: JSON with a schema version, or lines for a person."""

import json
from collections.abc import Mapping

SCHEMA_VERSION = 1


def print_json(values: Mapping[str, object]) -> None:
    """One object on standard output; its schema_version grows when a field changes its meaning."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=1, ensure_ascii=False))


def ago(seconds: float) -> str:
    """A duration as a person says it: 5 s, 3 min, 2.5 h, 4 d."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"
