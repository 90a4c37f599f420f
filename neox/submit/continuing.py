"""Goes on with a run that said it was finished."""

from neox.submit.preparing import Prepared, prepare_again
from neox.submit.refusal import RunDirectoryError


def reopen(prepared: Prepared) -> None:
    """Take `state/done` away where the new config trains for more steps than the old one did.

    Otherwise the file stays, and submitting says that the run is finished.
    """
    run = prepared.plan.run
    if not run.done.exists():
        return
    before = prepare_again(run).plan.config.training.train_iters
    now = prepared.plan.config.training.train_iters
    if before is None or now is None or now <= before:
        return
    try:
        run.done.unlink(missing_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"{run.done}: cannot be removed: {error.strerror}") from None
