"""What surrounds a rank: its variables, its Python, its container."""

from dataclasses import dataclass
from pathlib import Path

from neox.sites.profile import Profile
from neox.sites.ranges import holds
from neox.submit.origin import site_origin
from neox.submit.places import Names, filled, is_for_ranks, word
from neox.submit.plan import Origin, Variable
from neox.submit.problem import Problem
from neox.submit.request import Request
from neox.submit.words import Literal, ShellVar, Word, literal


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    variables: tuple[Variable, ...]
    rank_variables: tuple[Variable, ...]
    unset: tuple[str, ...]


def surroundings(site: Profile, nodes: int, names: Names) -> Surroundings:
    """The site's variables, then those that hold for this node count: a later one wins."""
    found: dict[str, Variable] = {}
    unset: dict[str, None] = {}
    _set(found, site, "env", dict(site.env), names)
    for index, when in enumerate(site.env_when):
        if not holds(when.nodes, nodes):
            continue
        _set(found, site, f"env.when[{index}]", dict(when.set), names)
        for name in when.unset:
            found.pop(name, None)
            unset[name] = None
    if "OMP_NUM_THREADS" not in found and "OMP_NUM_THREADS" not in unset:
        rule = Origin(text="rule: one thread for each core of a rank")
        threads = literal(str(names.cores_per_rank))
        found["OMP_NUM_THREADS"] = Variable(name="OMP_NUM_THREADS", value=threads, origin=rule)
    return Surroundings(
        variables=tuple(v for v in found.values() if not is_for_ranks(v.value)),
        rank_variables=tuple(v for v in found.values() if is_for_ranks(v.value)),
        unset=tuple(name for name in unset if name not in found),
    )


def _set(
    found: dict[str, Variable], site: Profile, table: str, values: dict[str, str], names: Names
) -> None:
    for name, text in values.items():
        origin = site_origin(site, f"{table}.{name}")
        found[name] = Variable(name=name, value=word(text, names), origin=origin)


# --- Python --------------------------------------------------------------------------------------


def python_of(site: Profile, request: Request, names: Names) -> str | Problem:
    """The interpreter that the ranks run: --python, else the profile's."""
    if request.python is not None:
        return request.python
    if site.python.kind == "submitting":
        return request.submit_python
    path = filled(site.python.path, names) if site.python.path else None
    if path is None and site.python.path is None:
        text = f"{site.name} does not say which Python its jobs run; use --python /path/to/python"
        return Problem(about="python", text=text)
    # an unknown account is a problem of its own
    return path if path is not None else str(site.python.path)


# --- containers ----------------------------------------------------------------------------------


def container_prefix(site: Profile, run: Path, cwd: Path, names: Names) -> tuple[Word, ...]:
    """What stands before the entry in each rank; nothing where there is no container.

    The run directory and the folder that relative paths start from are always bound, besides what
    the site binds.
    """
    container = site.container
    if container.kind == "none" or container.image is None:
        return ()
    binds = [word(bind, names) for bind in container.binds]
    covered = [filled(bind, names) or "" for bind in container.binds]
    binds += [literal(str(path)) for path in _uncovered((run, cwd), covered)]
    flags = tuple(word(flag, names) for flag in container.flags)
    joined = tuple(piece for bind in binds for piece in ((Literal(","),), bind))[1:]
    bind_option = (literal("--bind"), _concatenated(joined)) if binds else ()
    start = (literal(container.kind), literal("exec"))
    return (*start, *flags, *bind_option, word(container.image, names))


def _uncovered(paths: tuple[Path, ...], binds: list[str]) -> list[Path]:
    """Those of the paths that lie under no bound folder, outermost first."""
    bound = [Path(bind.split(":", maxsplit=1)[0]) for bind in binds if bind]
    missing: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(folder) for folder in (*bound, *missing)):
            missing.append(path)
    return missing


def _concatenated(words: tuple[Word, ...]) -> Word:
    parts: list[Literal | ShellVar] = []
    for each in words:
        for part in each:
            if isinstance(part, Literal) and parts and isinstance(parts[-1], Literal):
                parts[-1] = Literal(parts[-1].text + part.text)
            else:
                parts.append(part)
    return tuple(parts)
