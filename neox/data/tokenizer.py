"""What the rest of the project knows of a tokenizer."""

from collections.abc import Sequence
from typing import Protocol

from neox.data.errors import DataError

END_OF_DOCUMENT = "<|endoftext|>"


class TokenizerError(DataError):
    """A tokenizer that does not exist, or whose files cannot be read."""


class Tokenizer(Protocol):
    @property
    def vocab_size(self) -> int:
        """Number of ids, without the padding that the model adds."""

    @property
    def eod(self) -> int | None:
        """The id that ends a document, if the vocabulary has one."""

    def id_of(self, token: str) -> int | None:
        """The id of a token by its name."""

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...
