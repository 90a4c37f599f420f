"""What surrounds a rank: its variables and its Python."""

from dataclasses import dataclass

from neox.sites.profile import NodeType, Profile
from neox.sites.ranges import holds
from neox.submit.layout import RankPlace
from neox.submit.origin import site_origin
from neox.submit.places import Names, filled, is_for_ranks, word
from neox.submit.plan import Origin, Variable
from neox.submit.problem import Problem
from neox.submit.request import Request
from neox.submit.site_rules import gpu_order, ruled_variables
from neox.submit.words import literal


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    variables: tuple[Variable, ...]
    rank_variables: tuple[Variable, ...]
    unset: tuple[str, ...]


def surroundings(
    site: Profile, node: NodeType, nodes: int, names: Names, places: tuple[RankPlace, ...]
) -> Surroundings:
    """What follows from the site's facts, its own variables, and those that hold for this node
    count: a later one wins.
    """
    found = {variable.name: variable for variable in ruled_variables(site, names)}
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
    order = gpu_order(site, node.gpu, places) if node.gpu else None
    in_order = (order,) if order else ()
    return Surroundings(
        variables=tuple(v for v in found.values() if not is_for_ranks(v.value)),
        rank_variables=(*in_order, *(v for v in found.values() if is_for_ranks(v.value))),
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
