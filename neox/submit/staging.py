"""Python on each node's own disk: one large file read once a node, not small ones by every rank."""

from pathlib import PurePath

from neox.sites.profile import Profile
from neox.submit.container import joined
from neox.submit.places import Names, filled, word
from neox.submit.plan import Preflight, Staging
from neox.submit.request import Request
from neox.submit.words import Literal, ShellVar


def staging(
    site: Profile, request: Request, nodes: int, names: Names, preflight: Preflight | None
) -> Staging | None:
    """None where the profile names no archive, for few nodes, and for a Python of --python.

    It is unpacked by the launch line of the preflight, over every node of the job.
    """
    stage = site.python.stage
    if stage is None or stage.archive is None or preflight is None:
        return None
    archive = filled(stage.archive, names)
    if archive is None or nodes < stage.from_nodes or request.python is not None:
        return None
    to = joined((*word(stage.to, names), Literal("/neox-"), ShellVar("job_id")))
    return Staging(archive=archive, to=to, broadcast=stage.how == "sbcast", needs=stage.needs)


def stage_warning(site: Profile, nodes: int, python: str, found: Staging | None) -> str | None:
    """How to make the archive, or that none is named."""
    stage = site.python.stage
    if stage is None or nodes < stage.from_nodes:
        return None
    if found is None:
        return (
            f"from {stage.from_nodes} nodes on {site.name} advises a Python on the node's own disk "
            f"({stage.to}); it is started from {python} here, which takes longer"
        )
    folder = PurePath(python).parent.parent
    return (
        f"Python starts from {stage.to} of each node, unpacked from {found.archive}; "
        f"tar -C {folder} -cf {found.archive} . writes that file, and without it "
        f"{python} is started, which takes longer"
    )
