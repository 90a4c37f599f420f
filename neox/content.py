"""Finds the shelves: sites, jobs, configs, templates and kernels, in a checkout and when installed.

A person's own sites and jobs come before the shipped ones, the most personal first: `./sites`,
`~/.config/neox/sites`, then the folders of `$NEOX_SITES` (which a centre's module file may set for
everybody). Likewise `./jobs`, `~/.config/neox/jobs`, `$NEOX_JOBS`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELVES = ("sites", "jobs", "configs", "templates", "kernels")
PERSONAL = frozenset({"sites", "jobs"})  # shelves that a person may add to from outside
SUFFIX = ".toml"


class NotOnShelf(ValueError):
    """No file of that name; the message lists what there is."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A name on a shelf: the file that counts, and the ones behind it that it shadows."""

    name: str
    path: Path
    shadows: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Folders searched in order for NAME.toml; the shipped one is the last."""

    name: str
    folders: tuple[Path, ...]
    base: Path  # file names are shown relative to it where they lie below it

    def paths(self, stem: str) -> tuple[Path, ...]:
        """Every file of that name, the one that counts first; a path ending in .toml is itself."""
        if stem.endswith(SUFFIX):
            path = self.base / stem
            return (path,) if path.is_file() else ()
        if "/" in stem or not stem:
            return ()
        found = (folder / (stem + SUFFIX) for folder in self.folders)
        return tuple(path for path in found if path.is_file())

    def find(self, stem: str) -> Path:
        """The file that counts. Raises NotOnShelf with all the names there are."""
        paths = self.paths(stem)
        if not paths:
            raise NotOnShelf(
                f"no {self.name.removesuffix('s')} named {stem!r}; there are: "
                f"{', '.join(entry.name for entry in self.entries()) or 'none'} "
                f"(looked in {', '.join(self.show(folder) for folder in self.folders)})"
            )
        return paths[0]

    def entries(self) -> tuple[Entry, ...]:
        """All names in alphabetical order, with what each of them shadows."""
        files = (path for folder in self.folders for path in folder.glob("*" + SUFFIX))
        entries = []
        for stem in sorted({path.stem for path in files}):
            path, *behind = self.paths(stem)
            entries.append(Entry(name=stem, path=path, shadows=tuple(behind)))
        return tuple(entries)

    def show(self, path: Path) -> str:
        """The path as messages name it: `./sites/x.toml`, or `sites/x.toml` for a shipped file."""
        shipped_folder = self.folders[-1]
        if path.is_relative_to(shipped_folder):
            return str(Path(self.name) / path.relative_to(shipped_folder))
        if path.is_relative_to(self.base):
            return f"./{path.relative_to(self.base)}"
        return str(path)


def shipped(name: str) -> Path:
    """The folder of shelf `name` that came with this NeoX."""
    package = Path(__file__).resolve().parent
    installed = package / "content" / name
    return installed if installed.is_dir() else package.parent / name


def shelf(name: str, *, environ: Mapping[str, str], cwd: Path) -> Shelf:
    """The shelf `name` as a person with this environment and folder sees it."""
    last = shipped(name)
    own = _personal(name, environ, cwd) if name in PERSONAL else []
    folders = [folder for folder in own if folder.is_dir() and folder.resolve() != last]
    return Shelf(name=name, folders=(*dict.fromkeys(folders), last), base=cwd)


def shelf_here(name: str) -> Shelf:
    """The shelf as this process sees it."""
    return shelf(name, environ=os.environ, cwd=Path.cwd())


def _personal(name: str, environ: Mapping[str, str], cwd: Path) -> list[Path]:
    folders = [cwd / name]
    if environ.get("HOME"):
        folders.append(Path(environ["HOME"]) / ".config" / "neox" / name)
    listed = environ.get(f"NEOX_{name.upper()}", "")
    folders += [cwd / part for part in listed.split(os.pathsep) if part]
    return folders
