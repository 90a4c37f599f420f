"""What a document says under its keys, or what is wrong with it."""

import json
from collections.abc import Mapping

from neox.data.documents import Kind, Record

PARAGRAPHS = "\n\n"  # joins a text that is given as a list, as GPT-NeoX's reader (lm_dataformat)


class BadRecord(ValueError):
    """A record that is not what it should be; the message says how."""


def fields_of(record: Record) -> Mapping[str, object]:
    """The JSON object of a record; a text file's is its text, under every key."""
    if record.kind is Kind.WHOLE:
        # line ends as Python's text files have them, and so GPT-NeoX's reader
        return _Everything(_decoded(record.raw).replace("\r\n", "\n").replace("\r", "\n"))
    try:
        parsed: object = json.loads(record.raw)
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if isinstance(parsed, str):
        return _Everything(parsed)  # the old form of GPT-NeoX's reader: each line a text
    if not isinstance(parsed, dict):
        raise BadRecord("not a JSON object")
    return parsed


def value_of(fields: Mapping[str, object], key: str) -> object:
    try:
        return fields[key]
    except KeyError:
        raise BadRecord(
            f"no key {key!r}; it has {', '.join(map(repr, fields)) or 'none'}"
        ) from None


def text_of(fields: Mapping[str, object], key: str) -> str:
    """The text under a key. Raises BadRecord where there is none."""
    text = value_of(fields, key)
    if isinstance(text, list) and text and all(isinstance(one, str) for one in text):
        text = PARAGRAPHS.join(text)
    if not isinstance(text, str):
        raise BadRecord(f"{key!r} is not a text")
    require_whole(text, key)
    return text


def numbers_of(fields: Mapping[str, object], key: str) -> list[float]:
    """The number, or numbers, under a key."""
    value = value_of(fields, key)
    numbers = list[float]()
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, int | float):
            raise BadRecord(f"{key!r} is not a number")
        numbers.append(float(one))
    if not numbers:
        raise BadRecord(f"{key!r} is an empty list")
    return numbers


def require_whole(text: str, key: str) -> None:
    """Raises BadRecord for "\\ud800": JSON, and no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRecord(f"{key!r} holds half a surrogate pair") from None


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start}") from None


class _Everything(dict[str, object]):
    """One text under whatever key is asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def __missing__(self, key: str) -> str:
        return self._text
