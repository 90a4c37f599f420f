"""`neox tokenizer train | show`."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from neox.data.corpora import CORPORA, corpus_files
from neox.data.documents import records, require_files
from neox.data.encoding import bad_line
from neox.data.errors import DataError
from neox.data.fields import BadRecord, fields_of, text_of
from neox.data.line_numbers import LineNumbers
from neox.data.tokenizer_training import save_tokenizer, train_bpe
from neox.data.tokenizers import LOADERS, load_tokenizer
from neox.data.verbs import run_verb


def main(argv: Sequence[str]) -> int:
    """Run a verb of `neox tokenizer`; errors are one message and code 3, wrong usage is code 2."""
    arguments = _parser().parse_args(argv)
    verb = _train if arguments.verb == "train" else _show
    return run_verb("neox tokenizer", lambda: verb(arguments))


def _train(arguments: argparse.Namespace) -> None:
    paths = corpus_files(arguments.corpus) if arguments.corpus else arguments.input
    require_files(paths)
    tokenizer = train_bpe(_texts(paths, arguments.key), arguments.vocab_size)
    save_tokenizer(tokenizer, arguments.output)
    found = tokenizer.get_vocab_size()
    print(f"{arguments.output}: byte-level BPE of {found:,} ids")
    if found < arguments.vocab_size:
        print(f"the text has no more pairs to merge for the {arguments.vocab_size:,} asked for")


def _texts(paths: Sequence[Path], key: str) -> Iterator[str]:
    for record in records(paths, (key,)):
        try:
            yield text_of(fields_of(record), key)
        except BadRecord as error:
            place = LineNumbers().place(bad_line(record, str(error)))
            raise DataError(f"{place}: {error}") from None


def _show(arguments: argparse.Namespace) -> None:
    tokenizer = load_tokenizer(arguments.tokenizer_type, arguments.vocab_file, arguments.merge_file)
    if arguments.text is None:
        eod = "none" if tokenizer.eod is None else tokenizer.eod
        print(f"{arguments.tokenizer_type}: {tokenizer.vocab_size:,} ids, end of document {eod}")
        return
    for one in tokenizer.encode(arguments.text):
        print(f"{one:8}  {json.dumps(tokenizer.decode([one]), ensure_ascii=False)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox tokenizer", description="Train a tokenizer, or see what one does."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    train = verbs.add_parser("train", help="train a byte-level BPE, the same bytes every time")
    source = train.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", nargs="+", type=Path, metavar="FILE", help="JSON lines or text")
    source.add_argument("--corpus", choices=CORPORA, help="text that is there without a download")
    train.add_argument("--key", default="text", help="of the text in a JSON line (text)")
    train.add_argument("--vocab-size", type=int, required=True)
    train.add_argument("--output", type=Path, required=True, metavar="JSON")
    show = verbs.add_parser("show", help="print the size, or the ids of a text")
    show.add_argument("vocab_file", nargs="?", metavar="VOCAB_FILE")
    show.add_argument("--tokenizer-type", choices=sorted(LOADERS), default="HFTokenizer")
    show.add_argument("--merge-file", type=Path, help="of GPT2BPETokenizer")
    show.add_argument("--text", help="encode this, one id a line")
    return parser
