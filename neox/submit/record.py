"""Writes the run directory: whole, private, and never over a run that somebody still needs."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neox.run.paths import RunPaths
from neox.submit.diff import Side, side_of_run
from neox.submit.files import File, new_folder, write_files
from neox.submit.manifest import digest, read_manifest
from neox.submit.preparing import Prepared
from neox.submit.refusal import RunDirectoryError
from neox.submit.run_files import REVIEWED, files_of
from neox.submit.submissions import submissions

if TYPE_CHECKING:
    from neox.config.run_config import RunConfig

Existing = Literal["refuse", "continue", "fresh"]
INSIDE = ("logs", "state", "checkpoints", "links")
# what a continued run must have in common with itself
SAME_MODEL_AND_DATA = ("model", "data", "tokenizer")
MAY_DIFFER = frozenset({"make_vocab_size_divisible_by", "padded_vocab_size"})


@dataclass(frozen=True, kw_only=True)
class Written:
    prepared: Prepared
    link: int  # the next link to be submitted; job.sh is written for it


def write_run(prepared: Prepared, existing: Existing) -> Written:
    """Write the run directory for the plan's name.

    An existing one is refused, continued with the next link, or left for NAME-2, NAME-3 ...
    Raises RunDirectoryError.
    """
    run = prepared.plan.run
    if existing == "continue":
        return _write_continued(prepared, run)
    previous: Side | None = None
    for number in range(2, 1000):
        here = prepared.plan.run
        if not (here.root / "plan.json").exists():
            files = run_directory_files(prepared, 1, previous)
            if new_folder(here.root, files, INSIDE):
                return Written(prepared=prepared, link=1)
        if existing == "refuse":
            raise RunDirectoryError(_already_there(run))
        previous = _side_if_readable(here)
        prepared = prepared.again(name=f"{run.name}-{number}")
    raise RunDirectoryError(f"{run.root}: there are 999 of this name; choose another with --name")


def run_directory_files(prepared: Prepared, link: int, previous: Side | None) -> dict[str, File]:
    """What a link is made of, and the page that a person reads it on."""
    from neox.submit.render import render  # noqa: PLC0415
    from neox.submit.review_page import review_page  # noqa: PLC0415

    script = render(prepared.plan, link=link)
    page = review_page(prepared, script, link, previous)
    return {**files_of(prepared, link, script), "review.html": File(page)}


def next_link(run: RunPaths) -> int:
    """One more than the highest link that was submitted or is being submitted."""
    folders = run.root / "links"
    numbers = [int(p.name) for p in folders.glob("[0-9]*") if p.name.isdecimal()]
    return 1 + max([*numbers, *(s.link for s in submissions(run))], default=0)


def edited_files(run: RunPaths) -> tuple[str, ...]:
    """Names of the reviewed files that are not as `neox-submit` wrote them."""
    manifest = read_manifest(run)
    changed = []
    for name in (name for name in REVIEWED if name in manifest.sha256):
        path = run.root / name
        try:
            now = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}") from None
        if digest(now) != manifest.sha256[name]:
            changed.append(name)
    return tuple(changed)


def _write_continued(prepared: Prepared, run: RunPaths) -> Written:
    if not run.root.exists():
        raise RunDirectoryError(
            f"{run.root}: there is nothing to continue; leave --continue out, or give the run's "
            "--name and -o"
        )
    _check_same_run(prepared, run)
    link = next_link(run)
    previous = _side_if_readable(run)
    write_files(run.root, run_directory_files(prepared, link, previous))
    return Written(prepared=prepared, link=link)


def _side_if_readable(run: RunPaths) -> Side | None:
    """What the page compares with; a folder that is no run, or of another version, is left out."""
    try:
        return side_of_run(run)
    except ValueError:
        return None


def _check_same_run(prepared: Prepared, run: RunPaths) -> None:
    from neox.submit.run_files import prepare_again  # noqa: PLC0415

    before, now = prepare_again(run).plan.config, prepared.plan.config
    changed = differences(before, now)
    if changed:
        raise RunDirectoryError(
            f"{run.root}: --continue goes on with the same model and data, and these differ: "
            f"{'; '.join(changed)}. Give the old values, or start a new run with --fresh"
        )


def differences(before: "RunConfig", now: "RunConfig") -> list[str]:
    """What two configs say differently about model and data: "num_layers: 2 -> 4"."""
    pairs = [
        (field.name, old, new)
        for group in SAME_MODEL_AND_DATA
        for field in dataclasses.fields(vars(before)[group])
        if field.name not in MAY_DIFFER
        for old, new in [(vars(vars(b)[group])[field.name] for b in (before, now))]
    ]
    # the order of the data is drawn for all samples at once, so their number belongs to it
    pairs.append(("train_iters x train_batch_size", _samples(before), _samples(now)))
    return [f"{name}: {old} -> {new}" for name, old, new in pairs if old != new]


def _samples(config: "RunConfig") -> int | None:
    steps, batch = config.training.train_iters, config.batch.train_batch_size
    return None if steps is None or batch is None else steps * batch


def _already_there(run: RunPaths) -> str:
    number = len(submissions(run))
    jobs = "never submitted" if not number else f"{number} link{'s' * (number > 1)} submitted"
    return (
        f"{run.root}: this run is there already ({jobs}). Go on with it: --continue. "
        f"Start another beside it: --fresh (or --name NAME). Submit it as it is: "
        f"neox-submit submit {run.root}"
    )
