"""`neox data inspect`: what a token file holds, a document of it, or a sample of a run."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from neox.data import run_order
from neox.data.errors import DataError
from neox.data.inspection import Description, describe
from neox.data.maps import config_with_data
from neox.data.rows import Rows
from neox.data.showing import document_lines, sample_lines, targets
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile
from neox.data.tokenizers import load_tokenizer
from neox.data.verbs import add_tokenizer, positive, tokenizer_named, whole

ORDERS = {
    Part.TRAIN: run_order.training_order,
    Part.VALID: run_order.validation_order,
    Part.TEST: run_order.test_order,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say what a token file holds, print one of its documents, or, with --config, the sample "
        "that a run reads at a place of its order: documents in two colours, dim what is no target."
    )
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", help="path without .bin or .idx")
    parser.add_argument("--document", type=whole, metavar="N", help="print this one, from 0")
    parser.add_argument("--labels", metavar="PREFIX", help="of the document's label file")
    parser.add_argument("--config", type=Path, metavar="RUN_YML", help="of a run, for --sample")
    parser.add_argument("--sample", type=whole, metavar="N", help="print this one, from 0")
    parser.add_argument("--part", type=Part, choices=list(Part), default=Part.TRAIN)
    parser.add_argument("--ranks", type=positive, help="of the run, where its batch follows them")
    parser.add_argument("--split", help='describe each part, for example "969, 30, 1"')
    parser.add_argument("--json", action="store_true", help="for programs")
    add_tokenizer(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.config is not None:
        if arguments.prefix is not None or arguments.sample is None:
            raise DataError("--config shows a sample of a run: give --sample N, and no PREFIX")
        _show_sample(arguments)
        return
    if arguments.prefix is None or arguments.sample is not None:
        raise DataError("inspect what? give a PREFIX, or --config RUN_YML with --sample N")
    file = TokenFile(arguments.prefix)
    file.verify()
    if arguments.document is not None:
        _show_document(file, arguments)
    else:
        _describe(file, arguments)


def _describe(file: TokenFile, arguments: argparse.Namespace) -> None:
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
    tokens = file.sequence(arguments.document).astype(np.int64)
    kind, vocab, merges = tokenizer_named(arguments)
    if vocab is None and kind != "CharLevelTokenizer":
        print(*tokens.tolist())
        return
    labels = None
    if arguments.labels is not None:
        labels = TokenFile(arguments.labels).sequence(arguments.document).astype(np.int64)
        if len(labels) != len(tokens):
            raise DataError(f"{arguments.labels}: {len(labels)} labels for {len(tokens)} tokens")
    tokenizer = load_tokenizer(kind, vocab, merges)
    print(document_lines(tokens, labels, tokenizer, colour=_colour()))


def _show_sample(arguments: argparse.Namespace) -> None:
    config = config_with_data(arguments.config, arguments.ranks)
    if config is None:
        raise DataError(f"{arguments.config}: neither data_path nor train_data_paths is given")
    samples = ORDERS[arguments.part](config)
    if samples is None:
        raise DataError(f"{arguments.config}: it keeps no {arguments.part} documents")
    number = arguments.sample
    rows = samples.rows(np.array([number], np.int64), documents=True)
    kind, vocab, merges = tokenizer_named(arguments)
    if vocab is None:
        section = config.tokenizer
        kind, vocab, merges = section.tokenizer_type, section.vocab_file, section.merge_file
    tokenizer = load_tokenizer(kind, vocab, merges)
    eod = tokenizer.eod if config.data.eod_mask_loss else None
    for name, one in _answers(rows):
        print(_title(f"{arguments.part} sample {number:,} of {len(samples):,}{name}", one, eod))
        for line in sample_lines(one, tokenizer, colour=_colour(), eod=eod):
            print(line)


def _answers(rows: Rows) -> list[tuple[str, Rows]]:
    if rows.rejected is None:
        return [("", rows)]
    return [(", preferred", rows), (", rejected", rows.rejected)]


def _title(name: str, rows: Rows, eod: int | None) -> str:
    length = rows.tokens.shape[1]
    title = f"{name}: {length:,} tokens, {int(targets(rows, eod).sum()):,} learnt"
    return title if rows.rewards is None else f"{title}, reward {float(rows.rewards[0]):g}"


def _colour() -> bool:
    """As no-color.org says it: only on a terminal, and not where NO_COLOR is set and not empty."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
