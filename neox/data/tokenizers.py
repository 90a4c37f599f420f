"""Tokenizers by their name in the config (`tokenizer_type`), behind one small protocol."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from neox.data.fast_encoding import FastEncoder, fast_encoder
from neox.data.sentencepiece_tokenizer import SentencePieceTokenizer
from neox.data.tiktoken_tokenizer import ENCODINGS, TiktokenTokenizer
from neox.data.tokenizer import END_OF_DOCUMENT, Tokenizer, TokenizerError

PADDING = "<|padding|>"  # what GPT-NeoX adds to Hugging Face's GPT-2
CHAR_LEVEL_SIZE = 512  # GPT-NeoX's; 256 bytes, the rest unused
CHAR_LEVEL_EOD = 0


class LibraryTokenizer:
    """One of Hugging Face's `tokenizers` library."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = inner
        self._fast: FastEncoder | None = None
        self._looked = False

    @property
    def vocab_size(self) -> int:
        return int(self._inner.get_vocab_size())

    @property
    def eod(self) -> int | None:
        return self.id_of(END_OF_DOCUMENT)

    def id_of(self, token: str) -> int | None:
        found: int | None = self._inner.token_to_id(token)
        return found

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0]

    def encode_bare(self, text: str) -> list[int]:
        """Without the tokens that some vocabularies add at the ends of a text."""
        ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if not self._looked:
            self._fast, self._looked = fast_encoder(self._inner), True
        if self._fast is not None:
            return self._fast.encode_batch(texts)
        # the fast form leaves out character offsets; the ids are the same
        return [encoding.ids for encoding in self._inner.encode_batch_fast(list(texts))]

    def decode(self, ids: Sequence[int]) -> str:
        # GPT-NeoX shows special tokens, too: the end of a document should be seen
        return str(self._inner.decode(list(ids), skip_special_tokens=False))


class CharLevelTokenizer:
    """Bytes of UTF-8 as ids."""

    vocab_size = CHAR_LEVEL_SIZE
    eod: int | None = CHAR_LEVEL_EOD

    def id_of(self, token: str) -> int | None:
        """The byte of a token of one; no other token is one."""
        raw = token.encode()
        return raw[0] if len(raw) == 1 else None

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(one for one in ids if 0 < one < 256).decode(errors="replace")


def load_tokenizer(
    kind: str, vocab_file: str | Path | None, merge_file: str | Path | None = None
) -> Tokenizer:
    """The tokenizer that `tokenizer_type: kind`, `vocab_file` and `merge_file` name.

    Raises TokenizerError when the kind is not known or a file is missing or damaged.
    """
    if kind not in LOADERS:
        raise TokenizerError(
            f"tokenizer_type: {kind} is unknown; there are {', '.join(sorted(LOADERS))}"
        )
    return LOADERS[kind](vocab_file, merge_file)


def _hf(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del merge_file  # the one JSON holds everything
    path = _require(vocab_file, "vocab_file", "HFTokenizer", "tokenizer.json")
    return LibraryTokenizer(_from_json(path))


def _from_json(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise TokenizerError(f"{path}: not a Hugging Face tokenizer JSON: {error}") from None


def _gpt2(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    vocab = _require(vocab_file, "vocab_file", "GPT2BPETokenizer", "vocab.json")
    merges = _require(merge_file, "merge_file", "GPT2BPETokenizer", "merges.txt")
    return LibraryTokenizer(_byte_level_bpe(vocab, merges))


def _hf_gpt2(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    """`GPT2TokenizerFast.from_pretrained(vocab_file)` with GPT-NeoX's padding token."""
    del merge_file  # it lies beside the vocabulary
    folder = None if vocab_file is None else Path(vocab_file)
    if folder is None or not folder.is_dir():
        given = f"{folder} is none" if folder else "none is given, and nothing is downloaded"
        raise TokenizerError(
            "HFGPT2Tokenizer needs vocab_file, a folder with tokenizer.json, or vocab.json and "
            f"merges.txt, as Hugging Face's save_pretrained writes it; {given}"
        )
    whole = folder / "tokenizer.json"
    if whole.is_file():
        inner = _from_json(whole)
    else:
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        for path in (vocab, merges):
            _require(path, "vocab_file", "HFGPT2Tokenizer", path.name)
        inner = _byte_level_bpe(vocab, merges)
        inner.add_special_tokens([END_OF_DOCUMENT])
    inner.add_special_tokens([AddedToken(PADDING, special=True, normalized=False)])
    return LibraryTokenizer(inner)


def _byte_level_bpe(vocab: Path, merges: Path) -> tokenizers.Tokenizer:
    try:
        inner = tokenizers.Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    except Exception as error:  # the library raises a bare Exception
        raise TokenizerError(f"{vocab} and {merges}: not GPT-2 BPE files: {error}") from None
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _sentencepiece(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del merge_file
    return SentencePieceTokenizer(
        _require(vocab_file, "vocab_file", "SPMTokenizer", "tokenizer.model")
    )


def _tiktoken(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del merge_file
    if vocab_file is None:
        raise TokenizerError(
            "TiktokenTokenizer needs vocab_file, the name of an encoding "
            f"({', '.join(ENCODINGS)}) or the path of its .tiktoken file"
        )
    return TiktokenTokenizer(vocab_file)


def _char_level(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del vocab_file, merge_file
    return CharLevelTokenizer()


LOADERS: Mapping[str, Callable[[str | Path | None, str | Path | None], Tokenizer]] = {
    "HFTokenizer": _hf,
    "HFGPT2Tokenizer": _hf_gpt2,
    "GPT2BPETokenizer": _gpt2,
    "SPMTokenizer": _sentencepiece,
    "TiktokenTokenizer": _tiktoken,
    "CharLevelTokenizer": _char_level,
}


def _require(path: str | Path | None, key: str, kind: str, usual: str) -> Path:
    if path is None:
        raise TokenizerError(f"{kind} needs {key}, the path of its {usual}")
    if not Path(path).is_file():
        raise TokenizerError(f"{key}: {path} does not exist; {kind} reads its {usual} there")
    return Path(path)
