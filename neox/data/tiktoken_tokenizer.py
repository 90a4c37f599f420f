"""OpenAI's encodings: by name, or from a `.tiktoken` file where no network is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neox.data.tokenizer import END_OF_DOCUMENT, TokenizerError

if TYPE_CHECKING:
    import tiktoken


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What the file of ranks does not say (tiktoken_ext/openai_public.py of openai/tiktoken)."""

    pattern: str
    special: dict[str, int]


# GPT-2's
_R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"
    r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SHORT}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SHORT}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_FILL = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
ENCODINGS = {
    "r50k_base": Encoding(pattern=_R50K, special={END_OF_DOCUMENT: 50256}),
    "p50k_base": Encoding(pattern=_R50K, special={END_OF_DOCUMENT: 50256}),
    "cl100k_base": Encoding(
        pattern=_CL100K,
        special={
            END_OF_DOCUMENT: 100257,
            **dict(zip(_FILL, (100258, 100259, 100260), strict=True)),
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": Encoding(
        pattern=_O200K, special={END_OF_DOCUMENT: 199999, "<|endofprompt|>": 200018}
    ),
}


class TiktokenTokenizer:
    """The ids of the `tiktoken` library. Special tokens in a text are text, not tokens."""

    def __init__(self, named: str | Path) -> None:
        self._inner = _encoding(str(named))

    @property
    def vocab_size(self) -> int:
        return int(self._inner.n_vocab)

    @property
    def eod(self) -> int | None:
        return self.id_of(END_OF_DOCUMENT)

    def id_of(self, token: str) -> int | None:
        try:
            return int(self._inner.encode_single_token(token))
        except KeyError:
            return None

    def encode(self, text: str) -> list[int]:
        try:
            return self._inner.encode_ordinary(text)
        except BaseException as error:  # the library's panic is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise TokenizerError(
                f"tiktoken gives up on a text of {len(text):,} letters that begins with "
                f"{text[:40].strip()!r}: a million white spaces in a row are too many for it"
            ) from None

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]  # the library's own batch starts threads

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(list(ids))


def _encoding(named: str) -> "tiktoken.Encoding":
    try:
        import tiktoken  # noqa: PLC0415  # optional
        from tiktoken.load import load_tiktoken_bpe  # noqa: PLC0415
    except ImportError:
        raise TokenizerError("TiktokenTokenizer needs tiktoken; pip install 'neox[data]'") from None
    path = Path(named)
    if not path.is_file():
        return _by_name(named)
    if path.stem not in ENCODINGS:
        raise TokenizerError(
            f"vocab_file: {path}: a file of ranks says its encoding by its name; call it "
            f"{' or '.join(f'{name}.tiktoken' for name in ENCODINGS)}"
        )
    about = ENCODINGS[path.stem]
    try:
        ranks = load_tiktoken_bpe(str(path))
        return tiktoken.Encoding(
            path.stem, pat_str=about.pattern, mergeable_ranks=ranks, special_tokens=about.special
        )
    except Exception as error:  # the library raises what each line happens to break
        raise TokenizerError(f"{path}: not a .tiktoken file: {error}") from None


def _by_name(name: str) -> "tiktoken.Encoding":
    import tiktoken  # noqa: PLC0415  # optional

    if name not in tiktoken.list_encoding_names():
        raise TokenizerError(
            f"vocab_file: {name} is no file, and no encoding of tiktoken; there are "
            f"{', '.join(ENCODINGS)}"
        )
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:  # whatever its downloader raises
        raise TokenizerError(
            f"vocab_file: {name}: its ranks are not on this machine and could not be downloaded "
            f"({type(error).__name__}); give the path of {name}.tiktoken, or set "
            "TIKTOKEN_CACHE_DIR to a folder that has them"
        ) from None
