"""Where a site's number comes from, for messages that refuse because of it."""

from neox.sites.profile import Profile


def source_of(site: Profile, path: str) -> str:
    """A source in words: "docs.olcf.ornl.gov/..., read 2026-07-22", or the profile itself."""
    fact = site.fact(path)
    if fact is None or fact.source is None:
        return f"profile {site.name}"
    return f"{fact.source}, read {fact.read}" if fact.read else fact.source
