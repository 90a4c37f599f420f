"""`neox data count | merge | verify`: whole token files."""

import argparse
import sys
from pathlib import Path

from neox.data.errors import DataError
from neox.data.merging import merge, verify
from neox.data.token_file import TokenFile
from neox.data.verbs import positive


def add_count(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", nargs="+", metavar="PREFIX")


def count(arguments: argparse.Namespace) -> None:
    documents = tokens = 0
    for prefix in arguments.prefix:
        file = TokenFile(prefix)
        documents += len(file.documents) - 1
        tokens += len(file.tokens)
        print(f"{prefix}: {len(file.documents) - 1:,} documents, {len(file.tokens):,} tokens")
    if len(arguments.prefix) > 1:
        print(f"together: {documents:,} documents, {tokens:,} tokens")


def add_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    parser.add_argument("--output-prefix", required=True, type=Path, metavar="PREFIX")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def merge_files(arguments: argparse.Namespace) -> None:
    merged = merge(arguments.prefix, arguments.output_prefix, overwrite=arguments.overwrite)
    documents, tokens = merged
    print(f"{arguments.output_prefix}.bin, .idx: {documents:,} documents, {tokens:,} tokens")


def add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    parser.add_argument("--vocab-size", type=positive, help="no id may reach it")


def verify_files(arguments: argparse.Namespace) -> None:
    wrong = 0
    for prefix in arguments.prefix:
        try:
            print(f"{prefix}: {verify(prefix, arguments.vocab_size)}")
        except DataError as error:
            print(error, file=sys.stderr)
            wrong += 1
    if wrong:
        raise DataError(f"{wrong} of {len(arguments.prefix)} token files cannot be used")
