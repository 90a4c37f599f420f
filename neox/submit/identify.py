"""Which site is this machine? Asked of every profile, by its [identify] table."""

import re

from neox.content import shelf
from neox.sites.profile import Identify
from neox.submit.edge import Surroundings
from neox.submit.refusal import UsageError


def this_site(around: Surroundings) -> str:
    """The name of the one profile that recognises this machine. Raises UsageError with all."""
    from neox.sites.load import load_site  # noqa: PLC0415

    sites = shelf("sites", environ=around.environ, cwd=around.cwd)
    names = [entry.name for entry in sites.entries()]
    found = [name for name in names if matches(load_site(name, sites).identify, around)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(found or names)
    if found:
        raise UsageError(f"several profiles recognise this machine; choose: --site {listed}")
    raise UsageError(
        f"no profile recognises this machine; give --site, one of: {listed} "
        "(neox-submit sites list)"
    )


def matches(identify: Identify, around: Surroundings) -> bool:
    """All that the table says must hold; an empty table recognises nothing."""
    if not identify.env and identify.hostname is None:
        return False
    if any(around.environ.get(name) != value for name, value in identify.env.items()):
        return False
    return identify.hostname is None or bool(re.fullmatch(identify.hostname, around.hostname))
