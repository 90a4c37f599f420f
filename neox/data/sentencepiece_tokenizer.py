"""Google's SentencePiece models: LLaMA 1 and 2, T5, CodeLLaMA."""

from collections.abc import Sequence
from pathlib import Path

from neox.data.tokenizer import END_OF_DOCUMENT, TokenizerError


class SentencePieceTokenizer:
    """The ids of the `sentencepiece` library, without begin and end marks, as GPT-NeoX's."""

    def __init__(self, path: Path) -> None:
        try:
            import sentencepiece  # noqa: PLC0415  # optional
        except ImportError:
            raise TokenizerError(
                f"{path}: SPMTokenizer needs sentencepiece; pip install 'neox[data]'"
            ) from None
        try:
            self._inner = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise TokenizerError(f"{path}: not a SentencePiece model: {error}") from None

    @property
    def vocab_size(self) -> int:
        return int(self._inner.get_piece_size())

    @property
    def eod(self) -> int | None:
        """None where there is no `<|endoftext|>`; GPT-NeoX takes the unknown token's id then."""
        return self.id_of(END_OF_DOCUMENT)

    def id_of(self, token: str) -> int | None:
        found = int(self._inner.piece_to_id(token))
        return found if self._inner.id_to_piece(found) == token else None

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._inner.encode(text, out_type=int)
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]  # the library's own batch starts threads

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._inner.decode(list(ids)))
