"""What a launch line is made from, before any launcher's dialect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from neox.sites.profile import NodeType, Profile, Queue
from neox.submit.layout import RankPlace
from neox.submit.words import Word, literal

# what is started, where the profile names no `command`; spawn starts nothing but the ranks
PROGRAMS: Mapping[str, str] = MappingProxyType(
    {
        "srun": "srun",
        "jsrun": "jsrun",
        "openmpi": "mpirun",
        "mpich": "mpiexec.hydra",  # plain mpiexec may be Open MPI's
        "intelmpi": "mpiexec.hydra",
        "mvapich": "mpiexec.hydra",
        "pals": "mpiexec",
        "flux": "flux",
        "pdsh": "pdsh",
        "torchrun": "torchrun",
        "spawn": "job.sh",
    }
)


class LaunchError(ValueError):
    """The launcher cannot start ranks as the layout says; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class LaunchParts:
    site: Profile
    queue: Queue
    node: NodeType
    nodes: int
    places: tuple[RankPlace, ...]  # of one node
    use_gpus: bool
    hosts: tuple[str, ...]  # where no scheduler chooses them
    forward: tuple[str, ...]  # variables the ranks need
    extra: tuple[str, ...]  # --launch-arg ARG
    spare_nodes: int = 0  # allocated besides: ranks run on those that job.sh chooses
    container: tuple[Word, ...] = ()  # flags that put whole ranks into a container (srun)

    @property
    def ranks_per_node(self) -> int:
        return len(self.places)

    @property
    def ranks(self) -> int:
        return self.nodes * len(self.places)

    @property
    def cores_per_rank(self) -> int:
        return len(self.places[0].cores)


def program(site: Profile) -> str:
    """The launcher's name or path."""
    kind = site.launcher.kind
    return site.launcher.command or PROGRAMS.get(kind, kind)


def site_flags(parts: LaunchParts) -> tuple[str, ...]:
    """The profile's own flags; those about GPUs only where the job uses GPUs."""
    flags = (flag.replace("{gpus}", str(parts.node.gpus)) for flag in parts.site.launcher.flags)
    if parts.use_gpus:
        return tuple(flags)
    return tuple(flag for flag in flags if not flag.startswith(("--gpu", "--gres=gpu", "--gres-")))


def forwarded(parts: LaunchParts) -> tuple[str, ...]:
    """The names to pass on where a launcher starts ranks in a bare environment."""
    modules = parts.site.modules
    paths = ("PATH", "LD_LIBRARY_PATH") if modules.load or parts.node.modules else ()
    names = (*parts.forward, *paths, *modules.prepend)
    return tuple(dict.fromkeys(names))


def merged(computed: Iterable[str], *more: Iterable[str]) -> tuple[str, ...]:
    """All options, each once: a later one of the same name takes the earlier one's place."""
    options: dict[str, str] = {}
    for group in (computed, *more):
        for option in group:
            options[option.split("=", maxsplit=1)[0]] = option
    return tuple(options.values())


def words(argv: Iterable[str]) -> tuple[Word, ...]:
    return tuple(literal(argument) for argument in argv)
