"""Which line of which profile a part of the script comes from."""

from neox.sites.profile import Profile, nearest_above
from neox.submit.plan import Origin


def site_origin(site: Profile, path: str) -> Origin:
    """The line that set `path`, or the nearest table above it that has one."""
    above = nearest_above(path, site.origins)
    where = site.origins[above] if above else f"site {site.name}"
    return Origin(text=f"{where} {path}")
