"""Tokenizers by their name in the config (`tokenizer_type`), behind one small protocol."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from neox.data.errors import DataError
from neox.data.fast_encoding import FastEncoder, fast_encoder

END_OF_DOCUMENT = "<|endoftext|>"
CHAR_LEVEL_SIZE = 512  # GPT-NeoX's; 256 bytes, the rest unused
CHAR_LEVEL_EOD = 0


class TokenizerError(DataError):
    """A tokenizer that does not exist, or whose files cannot be read."""


class Tokenizer(Protocol):
    @property
    def vocab_size(self) -> int:
        """Number of ids, without the padding that the model adds."""

    @property
    def eod(self) -> int | None:
        """The id that ends a document, if the vocabulary has one."""

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


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
        found: int | None = self._inner.token_to_id(END_OF_DOCUMENT)
        return found

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0]

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
            f"tokenizer_type: {kind} is not there yet; there are {', '.join(sorted(LOADERS))}"
        )
    return LOADERS[kind](vocab_file, merge_file)


def _hf(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del merge_file  # the one JSON holds everything
    path = _require(vocab_file, "vocab_file", "HFTokenizer", "tokenizer.json")
    try:
        return LibraryTokenizer(tokenizers.Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises a bare Exception
        raise TokenizerError(f"{path}: not a Hugging Face tokenizer JSON: {error}") from None


def _gpt2(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    vocab = _require(vocab_file, "vocab_file", "GPT2BPETokenizer", "vocab.json")
    merges = _require(merge_file, "merge_file", "GPT2BPETokenizer", "merges.txt")
    try:
        inner = tokenizers.Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    except Exception as error:  # the library raises a bare Exception
        raise TokenizerError(f"{vocab} and {merges}: not GPT-2 BPE files: {error}") from None
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return LibraryTokenizer(inner)


def _char_level(vocab_file: str | Path | None, merge_file: str | Path | None) -> Tokenizer:
    del vocab_file, merge_file
    return CharLevelTokenizer()


LOADERS: Mapping[str, Callable[[str | Path | None, str | Path | None], Tokenizer]] = {
    "HFTokenizer": _hf,
    "GPT2BPETokenizer": _gpt2,
    "CharLevelTokenizer": _char_level,
}


def _require(path: str | Path | None, key: str, kind: str, usual: str) -> Path:
    if path is None:
        raise TokenizerError(f"{kind} needs {key}, the path of its {usual}")
    if not Path(path).is_file():
        raise TokenizerError(f"{key}: {path} does not exist; {kind} reads its {usual} there")
    return Path(path)
