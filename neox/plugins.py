"""Schedulers and launchers that other packages bring, found by their entry points.

    [project.entry-points."neox.schedulers"]
    oar = "neox_oar:Oar"

Nothing is looked up before a kind is asked for that is not ours, and only that one is loaded, so
that a broken package is in nobody's way but its own site's. `neox-submit doctor` tries them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SCHEDULERS = "neox.schedulers"
LAUNCHERS = "neox.launchers"
GROUPS = {SCHEDULERS: "scheduler", LAUNCHERS: "launcher"}


class PluginError(ValueError):
    """A kind that no package brings, or whose package cannot be used; says which and why."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One kind, and where it is said to come from."""

    group: str
    kind: str
    entry: "EntryPoint"

    @property
    def package(self) -> str:
        """ "neox-oar 1.0"."""
        package = self.entry.dist
        return f"{package.name} {package.version}" if package else "an unnamed package"

    @property
    def title(self) -> str:
        """ "scheduler 'oar' of neox-oar 1.0"."""
        return f"{GROUPS[self.group]} {self.kind!r} of {self.package}"

    def load(self) -> object:
        """What the entry point names. Raises PluginError whatever is wrong with it."""
        try:
            found: object = self.entry.load()
        except Exception as error:
            raise PluginError(f"{self.title} is broken: {what_failed(error)}") from error
        return found


def plugins(group: str) -> tuple[Plugin, ...]:
    """All of a group, by name."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (it brings email and sockets)

    entries = sorted(entry_points(group=group), key=lambda entry: entry.name)
    return tuple(Plugin(group=group, kind=entry.name, entry=entry) for entry in entries)


def plugin(group: str, kind: str, ours: Sequence[str]) -> Plugin:
    """The one that brings `kind`. Raises PluginError, with the kinds there are."""
    found = plugins(group)
    named = [one for one in found if one.kind == kind]
    if not named:
        known = ", ".join((*ours, *(one.kind for one in found)))
        raise PluginError(f"{GROUPS[group]} {kind!r} is not spoken here; known: {known}")
    if len(named) > 1:
        packages = " and ".join(one.package for one in named)
        raise PluginError(f"{GROUPS[group]} {kind!r} is brought by {packages}: remove one of them")
    return named[0]


def what_failed(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
