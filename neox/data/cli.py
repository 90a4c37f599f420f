"""`neox data VERB`: a verb's modules are loaded when it is called, so that ranks start faster."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from neox.data.verbs import run_verb


class Verb(NamedTuple):
    module: str
    arguments: str  # the function that adds them to a parser
    run: str
    about: str


VERBS = {
    "prepare": Verb("prepare_cli", "add_arguments", "run", "turn text into token files"),
    "maps": Verb("maps_cli", "add_maps", "maps", "build the index maps of a run before it starts"),
    "job": Verb(
        "maps_cli", "add_job", "job", "maps of a run whose config names token files, else prepare"
    ),
    "inspect": Verb(
        "inspect_cli", "add_arguments", "run", "what a token file, document or sample holds"
    ),
    "count": Verb("files_cli", "add_count", "count", "count documents and tokens"),
    "merge": Verb("files_cli", "add_merge", "merge_files", "join token files, in the order given"),
    "verify": Verb("files_cli", "add_verify", "verify_files", "check token files entry by entry"),
    "corpora": Verb("corpora_cli", "add_arguments", "run", "corpora by name, and downloads"),
}


def main(argv: Sequence[str]) -> int:
    """Run a verb of `neox data`; errors are one message and code 3, wrong usage is code 2."""
    parser = argparse.ArgumentParser(prog="neox data", description="Prepare and look at data.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    asked = argv[0] if argv else None
    run: Callable[[argparse.Namespace], None] | None = None
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.about)
        if name == asked:
            module = importlib.import_module(f"neox.data.{verb.module}")
            getattr(module, verb.arguments)(added)
            run = getattr(module, verb.run)
    arguments = parser.parse_args(argv)
    assert run is not None, "a parser knows its verbs"
    return run_verb("neox data", lambda: run(arguments))
