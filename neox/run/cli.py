"""The `neox` command: what ranks run, and the tools around it.

Every subcommand is imported only when it is called: `end-link` runs in job.sh on a launch node
that may hold no torch, and `--help` should not take seconds.
"""

import faulthandler
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from neox.run.exit_codes import ExitCode


class Command(NamedTuple):
    module: str
    function: str
    usage: str
    about: str


COMMANDS = {
    "train": Command("neox.run.jobs", "train", "train RUN_YML", "train the run of a run.yml"),
    "evaluate": Command(
        "neox.run.jobs", "evaluate", "evaluate RUN_YML", "held-out loss of its latest checkpoint"
    ),
    "generate": Command("neox.inference.cli", "main", "generate RUN_YML", "text from a model"),
    "data": Command("neox.data.cli", "main", "data prepare|inspect ...", "make token files"),
    "tokenizer": Command("neox.data.tokenizer_cli", "main", "tokenizer train ...", "make one"),
    "config": Command(
        "neox.config.cli", "main", "config check|show|migrate FILE...", "check, show, renew configs"
    ),
    "convert": Command(
        "neox.checkpoint.convert", "main", "convert ...", "checkpoints from and to Hugging Face"
    ),
    "kernels": Command(
        "neox.kernels.cli", "main", "kernels build|list|test|bench ...", "fused kernels for GPUs"
    ),
    "tune": Command(
        "neox.run.tune", "main", "tune CONFIG...", "a model's fastest matrix products on this GPU"
    ),
    "profile": Command(
        "neox.monitor.profile_cli", "main", "profile summary TRACE", "where a step's time went"
    ),
    "preflight": Command(
        "neox.run.preflight", "main", "preflight RUN_YML", "does this node do what is planned?"
    ),
    "verify-site": Command(
        "neox.run.verify_site", "main", "verify-site RUN_YML", "is the machine what is planned?"
    ),
    "end-link": Command(
        "neox.run.end_link", "main", "end-link RUN ...", "how a job ended; job.sh calls it"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return ExitCode.DONE if words else ExitCode.CONFIG
    name, *rest = words
    if name not in COMMANDS:
        print(f"neox: no command {name!r}\n{usage()}", file=sys.stderr)
        return ExitCode.CONFIG
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        return _not_installed(name, error)
    function: Callable[[Sequence[str]], int] = getattr(module, command.function)
    return function(rest)


def _not_installed(name: str, error: ModuleNotFoundError) -> int:
    missing = str(error.name).partition(".")[0]
    if missing == "neox":
        raise error  # our own mistake
    print(
        f"neox {name}: {sys.executable} has no module {missing}: a login-node install is without "
        "the engine; pip install 'neox[engine]' brings it",
        file=sys.stderr,
    )
    return ExitCode.REFUSED


def usage() -> str:
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"  neox {one.usage:{width}}  {one.about}" for one in COMMANDS.values()]
    return "\n".join(["usage:", *lines, "neox COMMAND --help says more; jobs: neox-submit --help"])


if __name__ == "__main__":
    # job.sh asks a rank that hangs where it is; file 2 is the rank's own log
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    sys.exit(main())
