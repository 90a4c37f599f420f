"""From documents to the tokens of each file that is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neox.data.conversations import ChatSettings, ConversationEncoder
from neox.data.documents import Record
from neox.data.errors import DataError
from neox.data.fields import BadRecord, fields_of, numbers_of, text_of, value_of
from neox.data.line_numbers import BadLine
from neox.data.rows import NOT_COUNTED
from neox.data.token_file import token_dtype
from neox.data.tokenizers import load_tokenizer

Ids = Sequence[int] | Sequence[float]


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """What turns a document into tokens."""

    tokenizer_type: str
    vocab_file: str | None
    merge_file: str | None
    append_eod: bool
    eod_token: str | None = None  # ends a document where it is not <|endoftext|>
    keys: tuple[str, ...] = ("text",)  # of the JSON object; each has token files of its own
    ftfy: bool = False  # mend text that was decoded wrongly
    mask_before: tuple[int, ...] = ()  # tokens up to these, the first time, are no targets
    chat: ChatSettings | None = None  # the keys hold conversations
    reward_key: str | None = None  # of a number, or of several
    binary_reward: bool = False  # 1 for a true reward, -1 for others

    @property
    def wanted(self) -> tuple[str, ...]:
        """All keys that are read."""
        return (*self.keys, *((self.reward_key,) if self.reward_key else ()))


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One of the token files: `PREFIX_NAME_document`, as GPT-NeoX's tools name them."""

    name: str
    dtype: np.dtype[np.generic]
    is_text: bool  # not labels, not rewards


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What became of some records; a document has one row for each stream."""

    documents: list[tuple[Ids, ...]]
    empty: int  # documents without a token, left out
    bad: tuple[BadLine, ...]


class Encoder:
    """Raises DataError at once where the tokenizer, template or ftfy is missing."""

    def __init__(self, settings: EncodeSettings) -> None:
        self._settings = settings
        self._tokenizer = load_tokenizer(
            settings.tokenizer_type, settings.vocab_file, settings.merge_file
        )
        self._mend = mender() if settings.ftfy else None
        self._chat = settings.chat and ConversationEncoder(settings.chat, self._tokenizer)
        self._end = [self._eod()] if settings.append_eod else []
        self.streams = streams_of(settings, self._tokenizer.vocab_size)

    def encode(self, records: Iterable[Record]) -> Encoded:
        """A document of which one key has no token is left out of all files, and counted."""
        read, bad = list[_Read](), list[BadLine]()
        for record in records:
            try:
                read.append(self._read(fields_of(record)))
            except BadRecord as error:
                bad.append(bad_line(record, str(error)))
        documents = self._conversations(read) if self._chat else self._texts(read)
        kept = [rows for rows in documents if all(len(row) for row in rows)]
        return Encoded(documents=kept, empty=len(documents) - len(kept), bad=tuple(bad))

    def _read(self, fields: Mapping[str, object]) -> "_Read":
        keys, texts, chats = self._settings.keys, list[str](), list[tuple[list[int], list[int]]]()
        if self._chat:
            chats = [self._chat.encode(value_of(fields, key), key) for key in keys]
        else:
            texts = [text_of(fields, key) for key in keys]
        if self._mend is not None:
            texts = [self._mend(text) for text in texts]
        return _Read(texts=texts, chats=chats, reward=self._reward(fields))

    def _texts(self, read: Sequence["_Read"]) -> list[tuple[Ids, ...]]:
        ids = iter(self._tokenizer.encode_batch([text for one in read for text in one.texts]))
        documents = list[tuple[Ids, ...]]()
        for one in read:
            rows = list[Ids]()
            for text in one.texts:
                found = next(ids)
                # an empty text is no document, even where a vocabulary begins it with a token
                found = found + self._end if text and found else []
                rows += [found, *self._labels(found), *one.reward]
            documents.append(tuple(rows))
        return documents

    def _labels(self, tokens: list[int]) -> tuple[list[int], ...]:
        """The labels that GPT-NeoX's preprocess_data_with_mask.py writes; none where not asked."""
        wanted = list(self._settings.mask_before)
        if not wanted:
            return ()
        for start in range(len(tokens) - len(wanted) + 1):
            if tokens[start : start + len(wanted)] == wanted:
                end = start + len(wanted)
                return ([NOT_COUNTED] * end + tokens[end:],)
        return (tokens,)

    def _conversations(self, read: Sequence["_Read"]) -> list[tuple[Ids, ...]]:
        assert self._settings.chat is not None
        both = self._settings.chat.learn != "all"
        return [
            tuple(
                row
                for tokens, labels in one.chats
                for row in (tokens, *((labels,) if both else ()), *one.reward)
            )
            for one in read
        ]

    def _reward(self, fields: Mapping[str, object]) -> tuple[Ids, ...]:
        key = self._settings.reward_key
        if key is None:
            return ()
        if self._settings.binary_reward:
            return ([1] if value_of(fields, key) else [-1],)
        return (numbers_of(fields, key),)

    def _eod(self) -> int:
        named = self._settings.eod_token
        found = self._tokenizer.eod if named is None else self._tokenizer.id_of(named)
        if found is None:
            raise DataError(
                f"--append-eod: {self._settings.vocab_file} has no {named or '<|endoftext|>'}; "
                "name the token that ends a document with --eod-token, or leave --append-eod out"
            )
        return found


def bad_line(record: Record, reason: str) -> BadLine:
    """What is kept of a record that could not be used."""
    return BadLine(path=record.path, line=record.line, begin=record.begin, reason=reason)


@dataclass(frozen=True, kw_only=True)
class _Read:
    texts: list[str]  # of each key
    chats: list[tuple[list[int], list[int]]]
    reward: tuple[Ids, ...]  # none, or one row


def streams_of(settings: EncodeSettings, vocab_size: int) -> tuple[Stream, ...]:
    """The files in the order of an encoded document's rows.

    Dtypes are those of GPT-NeoX's tools, but for rewards that are not binary: it cut them to
    whole numbers.
    """
    whole = np.dtype("<i4")
    text = whole if settings.chat or settings.mask_before else token_dtype(vocab_size)
    reward = whole if settings.binary_reward else np.dtype("<f4")
    found = list[Stream]()
    for key in settings.keys:
        found.append(Stream(name=key, dtype=text, is_text=True))
        if settings.chat and settings.chat.learn != "all":
            found.append(Stream(name=f"{key}_label", dtype=whole, is_text=False))
        if settings.mask_before:
            found.append(Stream(name="label", dtype=whole, is_text=False))
        if settings.reward_key is not None:
            found.append(Stream(name=f"{key}_reward", dtype=reward, is_text=False))
    return tuple(found)


def mender() -> Callable[[str], str]:
    """ftfy's `fix_text` with its defaults, as GPT-NeoX calls it."""
    try:
        import ftfy  # noqa: PLC0415  # optional
    except ImportError:
        raise DataError("--ftfy needs ftfy; pip install 'neox[data]'") from None
    return ftfy.fix_text
