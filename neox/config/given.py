"""What the files and the command line said, typed, before any rule is applied."""

from collections.abc import Mapping
from dataclasses import dataclass

from neox.config.places import Place


@dataclass(frozen=True, kw_only=True)
class Given:
    """The given arguments. `values` holds YAML names; dicts in it are typed dataclasses."""

    values: Mapping[str, object]
    places: Mapping[str, Place]  # of every given name, dotted in nested dicts
    warnings: tuple[str, ...] = ()
    texts: Mapping[str, str]  # file as it was typed -> its text, for the record
