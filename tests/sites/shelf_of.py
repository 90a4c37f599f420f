"""A shelf in a test's own folder, beside the shipped one or without it."""

import textwrap
from pathlib import Path

from neox.content import Shelf, shelf, shipped
from neox.sites.load import load_site
from neox.sites.profile import Profile

# the least that is a profile
SMALL = """
schema = 1
title  = "small"
status = "draft"

[scheduler]
kind = "slurm"

[launcher]
kind    = "srun"
binding = "cores"
master  = "first-host"

[node]
cores = 8

[[queues]]
name = "batch"
bins = [{ nodes = "1-4", time = "2:00:00" }]

[python]
kind = "submitting"
"""


def own_shelf(folder: Path, **texts: str) -> Shelf:
    """Profiles of those names and texts in front of the shipped ones."""
    sites = folder / "sites"
    sites.mkdir(exist_ok=True)
    for name, text in texts.items():
        (sites / f"{name}.toml").write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return Shelf(name="sites", folders=(sites, shipped("sites")), base=folder)


def load_text(folder: Path, text: str) -> Profile:
    return load_site("mine", own_shelf(folder, mine=text))


def shipped_shelf() -> Shelf:
    return shelf("sites", environ={}, cwd=Path("/"))
