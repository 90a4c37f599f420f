"""Which line of which profile a part of the script comes from."""

from neox.sites.profile import Profile
from neox.submit.plan import Origin


def site_origin(site: Profile, path: str) -> Origin:
    """The line that set `path`, or the nearest table above it that has one."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        above = ".".join(parts[:length])
        if above in site.origins:
            return Origin(text=f"{site.origins[above]} {path}")
    return Origin(text=f"site {site.name}: {path}")
