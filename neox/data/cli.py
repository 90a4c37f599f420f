"""`neox data prepare | maps | merge | verify | inspect | count | corpora`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from neox.data import corpora_cli, inspect_cli, prepare_cli
from neox.data.errors import DataError
from neox.data.maps import build_maps, config_with_data
from neox.data.merging import merge, verify
from neox.data.token_file import TokenFile
from neox.data.verbs import positive, run_verb


def main(argv: Sequence[str]) -> int:
    """Run a verb of `neox data`; errors are one message and code 3, wrong usage is code 2."""
    verbs: dict[str, Callable[[argparse.Namespace], None]] = {
        "prepare": prepare_cli.run,
        "job": _job,
        "maps": _maps,
        "inspect": inspect_cli.run,
        "count": _count,
        "merge": _merge,
        "verify": _verify,
        "corpora": corpora_cli.run,
    }
    arguments = _parser().parse_args(argv)
    return run_verb("neox data", lambda: verbs[arguments.verb](arguments))


def _job(arguments: argparse.Namespace) -> None:
    config = config_with_data(arguments.run_yml, arguments.ranks)
    if config is None:
        prepare_cli.run(arguments)
    elif prepare_cli.share().rank == 0:  # one process builds them; others find them
        build_maps(config)


def _maps(arguments: argparse.Namespace) -> None:
    config = config_with_data(arguments.run_yml, arguments.ranks)
    if config is None:
        raise DataError(f"{arguments.run_yml}: neither data_path nor train_data_paths is given")
    build_maps(config)


def _count(arguments: argparse.Namespace) -> None:
    documents = tokens = 0
    for prefix in arguments.prefix:
        file = TokenFile(prefix)
        documents += len(file.documents) - 1
        tokens += len(file.tokens)
        print(f"{prefix}: {len(file.documents) - 1:,} documents, {len(file.tokens):,} tokens")
    if len(arguments.prefix) > 1:
        print(f"together: {documents:,} documents, {tokens:,} tokens")


def _merge(arguments: argparse.Namespace) -> None:
    merged = merge(arguments.prefix, arguments.output_prefix, overwrite=arguments.overwrite)
    documents, tokens = merged
    print(f"{arguments.output_prefix}.bin, .idx: {documents:,} documents, {tokens:,} tokens")


def _verify(arguments: argparse.Namespace) -> None:
    wrong = 0
    for prefix in arguments.prefix:
        try:
            print(f"{prefix}: {verify(prefix, arguments.vocab_size)}")
        except DataError as error:
            print(error, file=sys.stderr)
            wrong += 1
    if wrong:
        raise DataError(f"{wrong} of {len(arguments.prefix)} token files cannot be used")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neox data", description="Prepare and look at data.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    prepare_cli.add_arguments(verbs.add_parser("prepare", help="turn text into token files"))
    maps = verbs.add_parser("maps", help="build the index maps of a run before it starts")
    job = verbs.add_parser("job", help="maps of a run whose config names token files, else prepare")
    for one in (maps, job):
        one.add_argument("run_yml", type=Path, metavar="RUN_YML", help="the run's config")
        one.add_argument("--ranks", type=positive, help="ranks of the run, not of this job")
    prepare_cli.add_arguments(job)
    inspect_cli.add_arguments(
        verbs.add_parser("inspect", help="what a token file holds, a document, or a run's sample")
    )
    count = verbs.add_parser("count", help="count documents and tokens")
    count.add_argument("prefix", nargs="+", metavar="PREFIX")
    joined = verbs.add_parser("merge", help="join token files, in the order given")
    joined.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    joined.add_argument("--output-prefix", required=True, type=Path, metavar="PREFIX")
    joined.add_argument("--overwrite", action="store_true", help="replace an existing output")
    checked = verbs.add_parser("verify", help="check token files entry by entry")
    checked.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    checked.add_argument("--vocab-size", type=positive, help="no id may reach it")
    corpora_cli.add_arguments(verbs.add_parser("corpora", help="corpora by name, and downloads"))
    return parser
