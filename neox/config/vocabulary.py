"""How many tokens a tokenizer's own file knows, read on a login node that has no tokenizer.

GPT-NeoX's configs do not say it, and without it neither parameters nor memory can be counted.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from neox.config.given import Given
from neox.config.places import Place

HUGGING_FACE = "HFTokenizer"
GPT2 = "GPT2BPETokenizer"


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
    if kind not in (HUGGING_FACE, GPT2):
        return None
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    return len(content) if kind == GPT2 else _hugging_face_size(content)


def _hugging_face_size(content: Mapping[str, object]) -> int | None:
    """Tokens of the model and those added beside it, as `Tokenizer.get_vocab_size()` counts."""
    match content:
        case {"model": {"vocab": dict(vocab)}, **rest}:
            added = rest.get("added_tokens")
            words = [one["content"] for one in added] if isinstance(added, list) else []
            return len({*vocab, *words})
        case _:
            return None
