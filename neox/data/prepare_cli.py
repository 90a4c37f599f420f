"""`neox data prepare`."""

import argparse
import os
import sys
import time
from pathlib import Path

from neox.data.chat_template import find_template
from neox.data.conversations import ChatSettings, Learn
from neox.data.corpora import CORPORA, corpus_files
from neox.data.documents import require_files
from neox.data.encoding import EncodeSettings
from neox.data.errors import DataError
from neox.data.inspection import unigram_entropy
from neox.data.parts_folder import Share
from neox.data.prepare import PrepareRequest, PrepareResult, prepare
from neox.data.progress import Progress
from neox.data.token_file import TokenFile
from neox.data.verbs import add_tokenizer, positive, tokenizer_named, whole
from neox.run.rank import RankError, read_rank

PARTS = 4000  # a part is larger where more would be needed, so that folders stay small
LEAST_CHUNK, MOST_CHUNK = 4_000_000, 16_000_000  # bytes; a worker needs some 10 times as much


def run(arguments: argparse.Namespace) -> None:
    inputs = corpus_files(arguments.corpus) if arguments.corpus else arguments.input
    require_files(inputs)
    total = sum(path.stat().st_size for path in inputs)
    request = PrepareRequest(
        inputs=tuple(inputs),
        output_prefix=arguments.output_prefix,
        settings=_settings(arguments),
        workers=arguments.workers,
        chunk_bytes=_chunk_bytes(arguments.chunk_mb, total),
        skip_bad=arguments.skip_bad,
        overwrite=arguments.overwrite,
        share=share(),
    )
    shown = arguments.progress or sys.stderr.isatty()
    begin = time.monotonic()
    result = prepare(request, Progress(total // request.share.world, sys.stderr, shown=shown))
    _print_prepared(request, result, total, time.monotonic() - begin)
    if arguments.entropy and result.files:
        file = TokenFile(result.files[0].prefix)
        print(f"unigram entropy {unigram_entropy(file, range(len(file))):.4f} nats per token")


def share() -> Share:
    """Which shards are this process's: all of them, unless a launcher made it a rank of several."""
    try:
        here = read_rank(os.environ)
    except RankError as error:
        raise DataError(str(error)) from None
    return Share(rank=here.rank, world=here.world_size, job=here.job_id)


def _chunk_bytes(megabytes: float | None, total: int) -> int:
    if megabytes is not None:
        return max(1, round(megabytes * 1e6))
    return min(max(total // PARTS, LEAST_CHUNK), MOST_CHUNK)


def _settings(arguments: argparse.Namespace) -> EncodeSettings:
    kind, vocab, merges = tokenizer_named(arguments)
    return EncodeSettings(
        tokenizer_type=kind,
        vocab_file=vocab,
        merge_file=merges,
        append_eod=arguments.append_eod or arguments.eod_token is not None,
        eod_token=arguments.eod_token,
        keys=tuple(arguments.key or (("conversation",) if arguments.chat else ("text",))),
        ftfy=arguments.ftfy,
        mask_before=_mask_before(arguments),
        chat=_chat(arguments, vocab),
        reward_key=arguments.reward_key,
        binary_reward=arguments.binary_reward,
    )


def _mask_before(arguments: argparse.Namespace) -> tuple[int, ...]:
    ids: tuple[int, ...] = arguments.mask_before_token or ()
    if ids and (arguments.chat or len(arguments.key or ()) > 1):
        raise DataError("--mask-before-token is for one key of plain text: leave --chat out")
    return ids


def _chat(arguments: argparse.Namespace, vocab: str | None) -> ChatSettings | None:
    learn: Learn = "role"
    if arguments.no_mask or arguments.only_last or arguments.for_rm:
        learn = "all" if arguments.no_mask else "last" if arguments.only_last else "end"
    if not arguments.chat:
        if learn != "role" or arguments.chat_template is not None:
            raise DataError("masks and templates are of conversations: give --chat, too")
        return None
    if arguments.append_eod or arguments.eod_token or arguments.ftfy:
        raise DataError(
            "--chat: a conversation ends as its template and eos_token say; leave --append-eod, "
            "--eod-token and --ftfy out"
        )
    if vocab is None:
        raise DataError("--chat needs --tokenizer JSON, with its tokenizer_config.json beside it")
    template, special = find_template(Path(vocab), arguments.chat_template)
    return ChatSettings(
        template=template, special=special, role=arguments.generation_role, learn=learn
    )


def _print_prepared(
    request: PrepareRequest, result: PrepareResult, total: int, seconds: float
) -> None:
    for place, reason in result.bad:
        print(f"left out {place}: {reason}", file=sys.stderr)
    for file in result.files:
        print(f"{file.prefix}.bin, .idx: {file.documents:,} documents, {file.tokens:,} tokens")
    if result.was_there:
        print("already made from this input with these settings; --overwrite makes it again")
        return
    notes = [f"{total / 1e6:.1f} MB of text in {seconds:.1f} s, {request.workers} workers"]
    if request.share.world > 1:
        here = f"rank {request.share.rank} of {request.share.world}"
        if not result.files:
            print(
                f"{here}: {result.documents:,} documents, {result.tokens:,} tokens in "
                f"{result.shards:,} shards; the last rank to finish joins them"
            )
            return
        notes = [f"{total / 1e6:.1f} MB of text by {request.share.world} ranks; {here} joined"]
        notes += [] if result.shards else [f"{here} had no shard: give more files than ranks"]
    notes += [f"{result.resumed} parts from an earlier run"] if result.resumed else []
    notes += [f"{result.empty:,} empty documents left out"] if result.empty else []
    notes += [f"{len(result.bad):,} bad lines left out"] if result.bad else []
    print("; ".join(notes))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turn text into token files, PREFIX_KEY_document.bin and .idx for each key. Interrupted, "
        "the same command goes on where it was. Under a launcher each rank takes its share of the "
        "files and the last one joins them. Prints what it wrote; exit code 3 for bad data."
    )
    _add_input(parser)
    _add_chat(parser.add_argument_group("conversations"))
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--workers", type=positive, default=cores, help="processes (all cores)")
    parser.add_argument("--chunk-mb", type=float, help="text per part (4 to 16, by the input)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad lines out, naming each")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument("--entropy", action="store_true", help="print the unigram entropy")
    parser.add_argument("--progress", action="store_true", help="also without a terminal")
    add_tokenizer(parser)


def _add_input(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=".jsonl, .jsonl.gz, .jsonl.zst (one document a line), .parquet (one a row) or text "
        "files (one each)",
    )
    source.add_argument("--corpus", choices=CORPORA, help="text that is there without a download")
    parser.add_argument("--output-prefix", required=True, type=Path, metavar="PREFIX")
    parser.add_argument(
        "--key",
        "--jsonl-keys",
        nargs="+",
        help="of the text in a JSON line or row (text, conversation with --chat); each key gets "
        "token files of its own, document by document alike",
    )
    parser.add_argument(
        "--mask-before-token",
        type=_ids,
        metavar="ID,ID",
        help="PREFIX_label_document leaves out what comes before these ids, and they",
    )
    parser.add_argument("--reward-key", help="of a number; PREFIX_KEY_reward_document holds it")
    parser.add_argument(
        "--binary-reward", action="store_true", help="1 for a true reward, -1 for others"
    )
    parser.add_argument("--ftfy", action="store_true", help="mend wrongly decoded text (slow)")
    parser.add_argument("--append-eod", action="store_true", help="end documents with the EOD id")
    parser.add_argument(
        "--eod-token", metavar="TOKEN", help="end them with this, where <|endoftext|> is none"
    )


def _add_chat(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--chat",
        action="store_true",
        help="keys hold lists of turns; PREFIX_KEY_label_document holds what is learnt. A pair of "
        "preferred and rejected answers is two keys",
    )
    group.add_argument(
        "--chat-template", type=Path, metavar="FILE", help="Jinja (beside the tokenizer)"
    )
    group.add_argument(
        "--generation-role", default="assistant", metavar="ROLE", help="is learnt (assistant)"
    )
    masks = group.add_mutually_exclusive_group()
    masks.add_argument("--only-last", action="store_true", help="learn the last turn alone")
    masks.add_argument("--no-mask", action="store_true", help="learn every token: no label file")
    masks.add_argument("--for-rm", action="store_true", help="learn the end alone: a reward model")


def _ids(text: str) -> tuple[int, ...]:
    return tuple(whole(one) for one in text.split(","))
