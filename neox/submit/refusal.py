"""Why `neox-submit` stops, as one message for a person and one exit code for a script."""

from neox.run.exit_codes import ExitCode


class Refusal(ValueError):
    """Something a person has to decide or mend; the text says what to type instead."""

    code = ExitCode.REFUSED


class UsageError(Refusal):
    """The command line is wrong."""

    code = ExitCode.CONFIG


class RunDirectoryError(Refusal):
    """The run directory cannot be read or written, or is not what the command needs."""


class SchedulerError(Refusal):
    """The scheduler is not there, does not answer, or said no."""


def is_for_a_person(error: BaseException) -> bool:
    """True for the errors our own code raises on purpose: a ValueError class of this package.

    A bare ValueError from the standard library is a bug of ours, and is shown as one.
    """
    return isinstance(error, ValueError) and type(error).__module__.startswith("neox.")


def code_of(error: BaseException) -> ExitCode:
    """The exit code for an error that `is_for_a_person`: 2 unless its class says otherwise."""
    return error.code if isinstance(error, Refusal) else ExitCode.CONFIG
