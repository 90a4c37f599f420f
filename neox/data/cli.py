"""`neox data prepare | maps | merge | verify | inspect | count | corpora`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from neox.data import corpora_cli, prepare_cli
from neox.data.errors import DataError
from neox.data.inspection import Description, describe
from neox.data.maps import build_maps, config_with_data
from neox.data.merging import merge, verify
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile
from neox.data.tokenizers import load_tokenizer
from neox.data.verbs import add_tokenizer, positive, run_verb, tokenizer_named, whole


def main(argv: Sequence[str]) -> int:
    """Run a verb of `neox data`; errors are one message and code 3, wrong usage is code 2."""
    verbs: dict[str, Callable[[argparse.Namespace], None]] = {
        "prepare": prepare_cli.run,
        "job": _job,
        "maps": _maps,
        "inspect": _inspect,
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


def _inspect(arguments: argparse.Namespace) -> None:
    file = TokenFile(arguments.prefix)
    file.verify()
    if arguments.document is not None:
        _show_document(file, arguments)
        return
    chosen = {"all": range(len(file))}
    if arguments.split:
        chosen |= {part: split_range(arguments.split, part, len(file)) for part in Part}
    parts = {name: describe(file, one) for name, one in chosen.items() if len(one)}
    if arguments.json:
        plain = {name: asdict(part) for name, part in parts.items()}
        print(json.dumps({"schema_version": 1, "dtype": file.dtype.name, "parts": plain}))
        return
    print(f"{file.prefix}: {file.dtype.name}, {len(file.documents) - 1:,} documents")
    for name, part in parts.items():
        print(_line(name, part))


def _line(name: str, part: Description) -> str:
    return (
        f"  {name:5} {part.documents:,} documents, {part.tokens:,} tokens "
        f"({part.shortest:,} to {part.longest:,} each, median {part.median:,.0f}), "
        f"unigram entropy {part.unigram_entropy:.4f} nats per token"
    )


def _show_document(file: TokenFile, arguments: argparse.Namespace) -> None:
    ids = [int(one) for one in file.sequence(arguments.document)]
    kind, vocab, merges = tokenizer_named(arguments)
    if vocab is None and kind != "CharLevelTokenizer":
        print(*ids)
        return
    print(load_tokenizer(kind, vocab, merges).decode(ids))


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
    inspect = verbs.add_parser("inspect", help="say what a token file holds, and check it")
    inspect.add_argument("prefix", metavar="PREFIX", help="path without .bin or .idx")
    inspect.add_argument("--document", type=whole, metavar="N", help="print this one, from 0")
    inspect.add_argument("--split", help='describe each part, for example "969, 30, 1"')
    inspect.add_argument("--json", action="store_true", help="for programs")
    add_tokenizer(inspect)
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
