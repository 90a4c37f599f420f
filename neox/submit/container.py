"""The container that Python lives in, as each kind is started.

Most kinds are a command that stands before Python in each rank. Pyxis and CSCS's container engine
are flags of srun instead: whole ranks run inside, and job.sh runs its own Python by a step of one
task.
"""

from dataclasses import dataclass
from pathlib import Path

from neox.sites.profile import Profile
from neox.submit.places import Names, filled, word
from neox.submit.words import Literal, ShellVar, Word, literal

_ONE_TASK = (literal("srun"), literal("--nodes=1"), literal("--ntasks=1"))


@dataclass(frozen=True, kw_only=True)
class ContainerWords:
    """What a container adds to the script; all empty where there is none."""

    rank: tuple[Word, ...] = ()  # before Python in each rank
    job: tuple[Word, ...] = ()  # before Python in job.sh
    launch: tuple[Word, ...] = ()  # on the launch line


def container_words(
    site: Profile, run: Path, cwd: Path, names: Names, variables: tuple[str, ...]
) -> ContainerWords:
    """The site's container with its binds, the run directory and the folder of relative paths.

    `variables` are those of the job that must hold inside even where the image sets its own.
    """
    container = site.container
    if container.kind == "none" or container.image is None:
        return ContainerWords()
    image = word(container.image, names)
    flags = tuple(word(flag, names) for flag in container.flags)
    match container.kind:
        case "pyxis":
            launch = (_after("--container-image=", image), *_pyxis(site, run, cwd, names, flags))
            kept = literal(f"--container-env={','.join(variables)}")
            return ContainerWords(job=(*_ONE_TASK, *launch), launch=(*launch, kept))
        case "container-engine":
            launch = (_after("--environment=", image), *flags)
            return ContainerWords(job=(*_ONE_TASK, *launch), launch=launch)
        case "charliecloud":
            binds = (_after("--bind=", _to_itself(bind)) for bind in _binds(site, run, cwd, names))
            prefix = (literal("ch-run"), *flags, *binds, image, literal("--"))
        case "shifter":  # the centre's own file systems are always seen inside
            own = (word(bind, names) for bind in container.binds)
            volumes = (_after("--volume=", _to_itself(bind)) for bind in own)
            prefix = (literal("shifter"), _after("--image=", image), *flags, *volumes)
        case "singularity" | "apptainer":
            binds_word = _listed(_binds(site, run, cwd, names))
            option = (literal("--bind"), binds_word)
            prefix = (literal(container.kind), literal("exec"), *flags, *option, image)
    return ContainerWords(rank=prefix, job=prefix)


def _pyxis(
    site: Profile, run: Path, cwd: Path, names: Names, flags: tuple[Word, ...]
) -> tuple[Word, ...]:
    mounts = tuple(_to_itself(bind) for bind in _binds(site, run, cwd, names))
    return (_after("--container-mounts=", _listed(mounts)), *flags)


# --- folders ---------------------------------------------------------------------------------


def _binds(site: Profile, run: Path, cwd: Path, names: Names) -> tuple[Word, ...]:
    """The site's own, and those of `run` and `cwd` that lie under none of them; never empty."""
    texts = site.container.binds
    covered = [filled(bind, names) or "" for bind in texts]
    missing = (literal(str(path)) for path in _uncovered((run, cwd), covered))
    return (*(word(bind, names) for bind in texts), *missing)


def _uncovered(paths: tuple[Path, ...], binds: list[str]) -> list[Path]:
    """Those of the paths that lie under no bound folder, outermost first."""
    bound = [Path(bind.split(":", maxsplit=1)[0]) for bind in binds if bind]
    missing: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(folder) for folder in (*bound, *missing)):
            missing.append(path)
    return missing


# --- words -----------------------------------------------------------------------------------


def _to_itself(bind: Word) -> Word:
    """SOURCE:TARGET, where a profile may say SOURCE alone."""
    has_target = any(isinstance(part, Literal) and ":" in part.text for part in bind)
    return bind if has_target else joined((*bind, Literal(":"), *bind))


def _listed(words: tuple[Word, ...]) -> Word:
    parts: list[Literal | ShellVar] = []
    for number, each in enumerate(words):
        parts += ([Literal(",")] if number else []) + list(each)
    return joined(tuple(parts))


def _after(option: str, value: Word) -> Word:
    return joined((Literal(option), *value))


def joined(parts: Word) -> Word:
    """The same word with neighbouring literals as one."""
    found: list[Literal | ShellVar] = []
    for part in parts:
        if isinstance(part, Literal) and found and isinstance(found[-1], Literal):
            found[-1] = Literal(found[-1].text + part.text)
        else:
            found.append(part)
    return tuple(found)
