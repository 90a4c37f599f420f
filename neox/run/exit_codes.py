"""How a job ends, in one number. docs/how-a-job-ends.md explains the contract."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Codes of `job.sh` and of the `neox` command. `neox-submit` uses 0 to 4."""

    DONE = 0
    BUG = 1
    CONFIG = 2
    DATA = 3
    REFUSED = 4
    NOT_REPRODUCIBLE = 16
    BAD_NUMBERS = 17
    NODE_FAULT = 75
    SAVED_NOT_FINISHED = 85


INTERRUPTED = 130  # as the shell names a command ended by Ctrl-C

# A next link of the chain would fail the same way, so none is started.
HALTING = frozenset(
    {
        ExitCode.CONFIG,
        ExitCode.DATA,
        ExitCode.REFUSED,
        ExitCode.NOT_REPRODUCIBLE,
        ExitCode.BAD_NUMBERS,
    }
)

MEANING = {
    ExitCode.DONE: "the run is finished",
    ExitCode.BUG: "a program error",
    ExitCode.CONFIG: "the config is wrong",
    ExitCode.DATA: "the data is missing or damaged",
    ExitCode.REFUSED: "refused: another job owns the run, or something it needs is not there",
    ExitCode.NOT_REPRODUCIBLE: "a repeated step gave other numbers",
    ExitCode.BAD_NUMBERS: "loss or gradients were not finite for too long",
    ExitCode.NODE_FAULT: "a node failed; worth trying again",
    ExitCode.SAVED_NOT_FINISHED: "saved, and not finished: the next link goes on",
}
