"""GPT-2's kind of byte-level BPE by tiktoken: the same ids as Hugging Face's, several times faster.

Taken only where it must agree: the vocabulary's ids follow the order of its merges, nothing is
normalised, and text is cut by GPT-2's pattern. The first texts are encoded both ways; where the
ids differ, Hugging Face's encoder does all of the work. A text that holds an added token, or
characters on which two libraries' Unicode tables may differ, or an endless gap, goes to Hugging
Face's in any case.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise

import tokenizers

TRIED = 64  # texts that are encoded both ways at the start
TRIED_LETTERS = 200_000
# GPT-2's cuts (openai/gpt-2, src/encoder.py), the frequent ones first, words and numbers in one
# branch: no text is cut otherwise than by tiktoken's own form, and it takes a third less time
CUTS = r" ?(?:\p{L}+|\p{N}+)|'(?:[sdmt]|ll|ve|re)| ?[^\s\p{L}\p{N}]+|\s++$|\s+(?!\S)|\s"
LONGEST_GAP = 500_000  # white spaces in a row; with a million more before a word tiktoken gives up
# assigned, or left free, alike since Unicode 11
SETTLED = re.compile(
    "[\x00-\u052f\u1e00-\u2027\u202a-\u206f\u2190-\u22ff\u3040-\u3096\u4e00-\u9fef]*"
)


class FastEncoder:
    """`encode_batch` of a `tokenizers.Tokenizer`; see `fast_encoder`."""

    def __init__(self, slow: tokenizers.Tokenizer, ranks: dict[bytes, int], added: list[str]):
        import tiktoken  # noqa: PLC0415  # optional

        self._slow = slow
        self._fast: tiktoken.Encoding | None = tiktoken.Encoding(
            "fast", pat_str=CUTS, mergeable_ranks=ranks, special_tokens={}
        )
        self._added = re.compile("|".join(map(re.escape, added))) if added else None
        self._tried = False

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if not self._tried and texts:
            self._try(texts)
        fast = self._fast
        if fast is None:
            return self._slowly(texts)
        return [
            fast.encode_ordinary(text) if self._is_plain(text) else self._slowly([text])[0]
            for text in texts
        ]

    def _try(self, texts: Sequence[str]) -> None:
        assert self._fast is not None
        sample = [text[: TRIED_LETTERS // TRIED] for text in texts[:TRIED]]
        sample = [text for text in sample if self._is_plain(text)]
        self._tried = True
        if [self._fast.encode_ordinary(text) for text in sample] != self._slowly(sample):
            self._fast = None

    def _is_plain(self, text: str) -> bool:
        if self._added is not None and self._added.search(text):
            return False
        if len(text) > LONGEST_GAP and _longest_gap(text) > LONGEST_GAP:
            return False
        return text.isascii() or SETTLED.fullmatch(text) is not None

    def _slowly(self, texts: Sequence[str]) -> list[list[int]]:
        # the fast form leaves out character offsets; the ids are the same
        return [encoding.ids for encoding in self._slow.encode_batch_fast(list(texts))]


def _longest_gap(text: str) -> int:
    return max((len(gap[0]) for gap in re.finditer(r"\s+", text)), default=0)


def fast_encoder(slow: tokenizers.Tokenizer) -> FastEncoder | None:
    """None where tiktoken is not installed, or `slow` is not GPT-2's kind of vocabulary."""
    plain = json.loads(slow.to_str())
    model, cut = plain["model"], plain["pre_tokenizer"]
    odd = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    if (
        model["type"] != "BPE"
        or plain["normalizer"] is not None
        or plain["truncation"] is not None
        or plain["padding"] is not None
        or (plain["post_processor"] or {"type": "ByteLevel"})["type"] != "ByteLevel"
        or cut is None
        or any(cut.get(key) != value for key, value in byte_level.items())
        or any(model.get(key) for key in (*odd, "byte_fallback", "ignore_merges"))
    ):
        return None
    added = [one["content"] for one in plain["added_tokens"]]
    ranks = _ranks(model["vocab"], model["merges"])
    try:
        return None if ranks is None else FastEncoder(slow, ranks, added)
    except ImportError:
        return None


def _ranks(vocab: dict[str, int], merges: list[list[str]]) -> dict[bytes, int] | None:
    """Bytes of each piece -> id; None where ids do not follow the merges, or a byte has none."""
    byte_of = {letter: value for value, letter in byte_letters().items()}
    joined = ["".join(pair) for pair in merges]
    merged = [vocab[piece] for piece in joined]
    if any(after <= before for before, after in pairwise(merged)):
        return None
    if not vocab.keys() >= byte_of.keys():
        return None
    # what no merge leads to is never found in text: GPT-2's own <|endoftext|>
    pieces = {letter: vocab[letter] for letter in byte_of}
    pieces |= dict(zip(joined, merged, strict=True))
    if any(letter not in byte_of for piece in pieces for letter in piece):
        return None
    return {bytes(map(byte_of.__getitem__, piece)): number for piece, number in pieces.items()}


def byte_letters() -> dict[int, str]:
    """GPT-2's letters for bytes (openai/gpt-2, src/encoder.py)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {value: chr(value) for value in shown}
    hidden = [value for value in range(256) if value not in letters]
    return letters | {value: chr(256 + number) for number, value in enumerate(hidden)}
