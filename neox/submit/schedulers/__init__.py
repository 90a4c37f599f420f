"""Schedulers: directives, commands and their output, one file each."""

from neox.sites.profile import SchedulerKind
from neox.submit.schedulers.local import Local
from neox.submit.schedulers.lsf import Lsf
from neox.submit.schedulers.scheduler import Scheduler
from neox.submit.schedulers.slurm import Slurm


class SchedulerMissing(ValueError):
    """A site names a scheduler whose dialect is not spoken here."""


def scheduler(kind: SchedulerKind) -> Scheduler:
    match kind:
        case "slurm":
            return Slurm()
        case "lsf":
            return Lsf()
        case "local":
            return Local()
        case _:
            raise SchedulerMissing(
                f"scheduler {kind!r} is not spoken here; known: slurm, lsf, local"
            )
