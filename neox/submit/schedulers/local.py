"""No scheduler: a job is a process of this machine, and its id is the process number.

`neox-submit` starts job.sh detached; a later link waits for the process of the one before it.
Nobody is asked how such a job is: /proc says it (neox/submit/processes.py).
"""

from pathlib import Path

from neox.submit.plan import Directive
from neox.submit.quoting import QuotingError
from neox.submit.schedulers.scheduler import Argv, JobParts


class Local:
    """The Headed protocol without a scheduler."""

    prefix: str = ""
    commands: Argv = ("bash",)
    templates: None = None

    def directives(self, parts: JobParts) -> tuple[Directive, ...]:
        if parts.extra:
            raise QuotingError(
                f"directive: {parts.extra[0]!r} is for a scheduler, and {parts.site.name} has "
                f"none; leave --directive out"
            )
        return ()

    def submit_argv(self, script: Path, after: Argv = (), off: Argv = ()) -> Argv:  # noqa: ARG002
        """The process to start detached; what it waits for reaches it as NEOX_AFTER.

        Its hosts are those of a file, from which bad ones are left out before.
        """
        return ("bash", str(script))
