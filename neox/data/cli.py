"""`neox data prepare | merge | verify | inspect | count`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from neox.data.corpora import CORPORA, corpus_files
from neox.data.errors import DataError
from neox.data.inspection import Description, describe, unigram_entropy
from neox.data.merging import merge, verify
from neox.data.parts import EncodeSettings
from neox.data.prepare import PrepareRequest, PrepareResult, output_prefix, prepare
from neox.data.progress import Progress
from neox.data.splits import Part, split_range
from neox.data.token_file import TokenFile
from neox.data.tokenizers import LOADERS, load_tokenizer
from neox.run.exit_codes import ExitCode

INTERRUPTED = 130  # as the shell names a command ended by Ctrl-C


def main(argv: Sequence[str]) -> int:
    """Run a verb of `neox data`; errors are one message and code 3, wrong usage is code 2."""
    verbs: dict[str, Callable[[argparse.Namespace], None]] = {
        "prepare": _prepare,
        "inspect": _inspect,
        "count": _count,
        "merge": _merge,
        "verify": _verify,
    }
    arguments = _parser().parse_args(argv)
    return run_verb("neox data", lambda: verbs[arguments.verb](arguments))


def run_verb(name: str, verb: Callable[[], None]) -> int:
    """Exit code of a verb, its errors said in one line each."""
    try:
        verb()
    except DataError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.DATA
    except BrokenPipeError:
        # the reader (head, less) went away: not an error, and nothing is left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {place}{error.strerror or error}", file=sys.stderr)
        return ExitCode.DATA
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return ExitCode.DONE


def _prepare(arguments: argparse.Namespace) -> None:
    inputs = corpus_files(arguments.corpus) if arguments.corpus else arguments.input
    request = PrepareRequest(
        inputs=tuple(inputs),
        output=output_prefix(arguments.output_prefix),
        settings=_settings(arguments),
        workers=arguments.workers,
        chunk_bytes=max(1, round(arguments.chunk_mb * 1e6)),
        skip_bad=arguments.skip_bad,
        overwrite=arguments.overwrite,
    )
    total = sum(path.stat().st_size for path in request.inputs if path.is_file())
    shown = arguments.progress or sys.stderr.isatty()
    begin = time.monotonic()
    result = prepare(request, Progress(total, sys.stderr, shown=shown))
    seconds = time.monotonic() - begin
    _print_prepared(request, result, total, seconds)
    if arguments.entropy:
        file = TokenFile(request.output)
        print(f"unigram entropy {unigram_entropy(file, range(len(file))):.4f} nats per token")


def _print_prepared(
    request: PrepareRequest, result: PrepareResult, total: int, seconds: float
) -> None:
    for place, reason in result.bad:
        print(f"left out {place}: {reason}", file=sys.stderr)
    print(f"{request.output}.bin, .idx: {result.documents:,} documents, {result.tokens:,} tokens")
    notes = [f"{total / 1e6:.1f} MB of text in {seconds:.1f} s, {request.workers} workers"]
    notes += [f"{result.resumed} parts from an earlier run"] if result.resumed else []
    notes += [f"{result.empty:,} empty documents left out"] if result.empty else []
    notes += [f"{len(result.bad):,} bad lines left out"] if result.bad else []
    print("; ".join(notes))


def _settings(arguments: argparse.Namespace) -> EncodeSettings:
    kind, vocab = arguments.tokenizer_type, arguments.vocab_file
    if arguments.tokenizer is not None:
        kind, vocab = "HFTokenizer", arguments.tokenizer
    return EncodeSettings(
        tokenizer_type=kind,
        vocab_file=None if vocab is None else str(vocab),
        merge_file=None if arguments.merge_file is None else str(arguments.merge_file),
        append_eod=arguments.append_eod,
        key=arguments.key,
        ftfy=arguments.ftfy,
    )


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
    settings = _settings(arguments)
    named = settings.vocab_file is not None or settings.tokenizer_type == "CharLevelTokenizer"
    if not named:
        print(*ids)
        return
    tokenizer = load_tokenizer(settings.tokenizer_type, settings.vocab_file, settings.merge_file)
    print(tokenizer.decode(ids))


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
    _add_prepare(verbs.add_parser("prepare", help="turn text into a token file"))
    inspect = verbs.add_parser("inspect", help="say what a token file holds, and check it")
    inspect.add_argument("prefix", metavar="PREFIX", help="path without .bin or .idx")
    inspect.add_argument("--document", type=_whole, metavar="N", help="print this one, from 0")
    inspect.add_argument("--split", help='describe each part, for example "969, 30, 1"')
    inspect.add_argument("--json", action="store_true", help="for programs")
    _add_tokenizer(inspect)
    inspect.set_defaults(append_eod=False, key="text", ftfy=False)
    count = verbs.add_parser("count", help="count documents and tokens")
    count.add_argument("prefix", nargs="+", metavar="PREFIX")
    joined = verbs.add_parser("merge", help="join token files, in the order given")
    joined.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    joined.add_argument("--output-prefix", required=True, type=Path, metavar="PREFIX")
    joined.add_argument("--overwrite", action="store_true", help="replace an existing output")
    checked = verbs.add_parser("verify", help="check token files entry by entry")
    checked.add_argument("prefix", nargs="+", type=Path, metavar="PREFIX")
    checked.add_argument("--vocab-size", type=_positive, help="no id may reach it")
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turn text into PREFIX_text_document.bin and .idx. Interrupted, the same command "
        "goes on where it was. Prints what it wrote; exit code 3 for bad data."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=".jsonl, .jsonl.gz, .jsonl.zst (one document a line) or text files (one each)",
    )
    source.add_argument("--corpus", choices=CORPORA, help="text that is there without a download")
    parser.add_argument("--output-prefix", required=True, type=Path, metavar="PREFIX")
    parser.add_argument("--key", default="text", help="of the text in a JSON line (text)")
    parser.add_argument("--ftfy", action="store_true", help="mend wrongly decoded text (slow)")
    parser.add_argument("--append-eod", action="store_true", help="end documents with the EOD id")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--workers", type=_positive, default=cores, help="processes (all cores)")
    parser.add_argument("--chunk-mb", type=float, default=4.0, help="text per part (4)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad lines out, naming each")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument("--entropy", action="store_true", help="print the unigram entropy")
    parser.add_argument("--progress", action="store_true", help="also without a terminal")
    _add_tokenizer(parser)


def _add_tokenizer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tokenizer")
    group.add_argument("--tokenizer", type=Path, metavar="JSON", help="short for HFTokenizer")
    group.add_argument("--tokenizer-type", choices=sorted(LOADERS), default="HFTokenizer")
    group.add_argument("--vocab-file", type=Path)
    group.add_argument("--merge-file", type=Path, help="of GPT2BPETokenizer")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _positive(text: str) -> int:
    if _whole(text) == 0:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)
