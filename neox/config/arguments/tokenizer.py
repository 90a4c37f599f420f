"""From text to tokens, and how many there are."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen


@frozen
class Tokenizer(Frozen):
    """The tokenizer and the vocabulary."""

    tokenizer_type: Literal[
        "GPT2BPETokenizer",
        "HFTokenizer",
        "HFGPT2Tokenizer",
        "SPMTokenizer",
        "CharLevelTokenizer",
        "TiktokenTokenizer",
    ] = argument("GPT2BPETokenizer", "Kind of tokenizer.")
    vocab_file: str | None = argument(
        None,
        "The tokenizer's file; HFGPT2Tokenizer's folder; TiktokenTokenizer's file or encoding.",
    )
    merge_file: str | None = argument(None, "Merges of GPT2BPETokenizer.")
    vocab_size: int | None = argument(
        None,
        "Tokens that the tokenizer knows, before padding. Default: read from the tokenizer.",
        unit="tokens",
    )
    make_vocab_size_divisible_by: int = argument(
        128, "Pad the vocabulary to a multiple of this times the tensor-parallel ranks."
    )
    padded_vocab_size: int | None = argument(
        None,
        "Rows of the embedding.",
        unit="tokens",
        status="runtime",
        note="vocab_size, padded",
    )
    tokenizer: str | None = argument(
        None, "The tokenizer itself.", status="runtime", note="it is built from its file"
    )
