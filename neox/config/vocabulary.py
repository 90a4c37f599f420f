"""How many tokens a tokenizer's own file knows, read on a login node that has no tokenizer.

GPT-NeoX's configs do not say it, and without it neither parameters nor memory can be counted.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from neox.config.given import Given
from neox.config.places import Place

GPT2 = "GPT2BPETokenizer"
PIECE = 1 << 3 | 2  # field 1, counted bytes
PADDING = "<|padding|>"  # GPT-NeoX adds it to HFGPT2Tokenizer
# openai/tiktoken, tiktoken_ext/openai_public.py: the highest id and one
TIKTOKEN = {"r50k_base": 50257, "p50k_base": 50281, "cl100k_base": 100277, "o200k_base": 200019}


def with_vocabulary(given: Given) -> Given:
    """`vocab_size` from the file in `vocab_file`; unchanged where it is given or unreadable.

    Whether the file is any good is the engine's question: it opens it with the tokenizer itself.
    """
    named = given.values.get("vocab_file")
    if given.values.get("vocab_size") is not None or not isinstance(named, str):
        return given
    size = _size(Path(named), given.values.get("tokenizer_type", GPT2))
    if size is None:
        return given
    return replace(
        given,
        values={**given.values, "vocab_size": size},
        places={**given.places, "vocab_size": Place(kind="file", source=named)},
    )


def _size(file: Path, kind: object) -> int | None:
    match kind:
        case "HFTokenizer":
            return _counted(_json(file))
        case "GPT2BPETokenizer":
            content = _json(file)
            return None if content is None else len(content)
        case "HFGPT2Tokenizer":
            content = _json(file / "tokenizer.json")
            words = _words(content) if content else set(_json(file / "vocab.json") or ())
            return len(words | {PADDING}) if words else None
        case "SPMTokenizer":
            return _sentence_pieces(file)
        case "TiktokenTokenizer":
            return TIKTOKEN.get(file.stem)
        case _:
            return None


def _json(file: Path) -> Mapping[str, object] | None:
    try:
        content: object = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _counted(content: Mapping[str, object] | None) -> int | None:
    return len(_words(content)) or None if content else None


def _words(content: Mapping[str, object]) -> set[str]:
    """Tokens of the model and those added beside it, as `Tokenizer.get_vocab_size()` counts."""
    match content:
        case {"model": {"vocab": dict(vocab)}, **rest}:
            added = rest.get("added_tokens")
            words = [one["content"] for one in added] if isinstance(added, list) else []
            return {*vocab, *words}
        case _:
            return set()


def _sentence_pieces(file: Path) -> int | None:
    """Pieces of a SentencePiece model: field 1 of its protobuf, sentencepiece_model.proto."""
    try:
        raw = file.read_bytes()
        at = count = 0
        while at < len(raw):
            tag, at = _varint(raw, at)
            count += tag == PIECE
            if tag & 7 == 0:
                _, at = _varint(raw, at)
            else:
                size, at = _varint(raw, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
                at += size
    except (OSError, IndexError, KeyError):
        return None
    return count or None


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next field begins."""
    value = shift = 0
    while raw[at] & 0x80:
        value |= (raw[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | raw[at] << shift, at + 1
