"""`state/bad_nodes`: nodes that no later link of the run may have, "NODE REASON" a line.

job.sh appends what its preflight finds, end-link what a rank found; a person forgives a node by
deleting its line. Standard library only: end-link runs where no engine is.
"""

import os
from pathlib import Path


def read_bad_nodes(path: Path) -> dict[str, str]:
    """Node -> reason, in the order they were found; a later line about a node says nothing new."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        node, _, reason = line.strip().partition(" ")
        if node and node not in found:
            found[node] = reason
    return found


def add_bad_node(path: Path, node: str, reason: str) -> None:
    """Append in a single write, which no other can part."""
    line = f"{node} {' '.join(reason.split())}\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
