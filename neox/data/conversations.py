"""A conversation as tokens, and which of them are targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from neox.data.chat_template import ChatTemplate
from neox.data.errors import DataError
from neox.data.fields import BadRecord, require_whole
from neox.data.rows import NOT_COUNTED
from neox.data.tokenizer import Tokenizer
from neox.data.tokenizers import LibraryTokenizer

Turns = Sequence[Mapping[str, object]]
Learn = Literal["role", "last", "all", "end"]


@dataclass(frozen=True, kw_only=True)
class ChatSettings:
    """How conversations become tokens and labels."""

    template: str  # Jinja
    special: Mapping[str, str]  # tokens that the template may name
    role: str = "assistant"  # whose turns are learnt
    # the turns of the role; the last turn, if it is the role's; every token (no labels are
    # written); or the end alone, for a reward model
    learn: Learn = "role"


class ConversationEncoder:
    """The tokens of GPT-NeoX's preprocess_data_with_chat_template.py, its faults mended."""

    def __init__(self, settings: ChatSettings, tokenizer: Tokenizer) -> None:
        if not isinstance(tokenizer, LibraryTokenizer):
            raise DataError("--chat: chat templates are Hugging Face's; give --tokenizer JSON")
        self._settings = settings
        self._tokenizer = tokenizer
        self._template = ChatTemplate(settings.template, settings.special)
        self._end = self._end_token()

    def encode(self, value: object, key: str) -> tuple[list[int], list[int]]:
        """Tokens and labels of a list of {"role": ..., "content": ...}.

        Raises BadRecord where it is none, or its template does not write turn after turn.
        """
        turns = _turns(value, key)
        if self._settings.learn in ("role", "last"):
            tokens, labels = self._turn_by_turn(turns, key)
        else:
            tokens = self._tokens(turns, key, prompt=False)
            labels = [NOT_COUNTED] * len(tokens) if self._settings.learn == "end" else [*tokens]
        if self._end is None:
            return tokens, labels
        if self._settings.learn == "end":
            # labels are read one place on: the value at the first end is what is learnt
            return [*tokens, self._end, self._end], [*labels, NOT_COUNTED, self._end]
        counts = bool(labels) and labels[-1] != NOT_COUNTED
        return [*tokens, self._end], [*labels, self._end if counts else NOT_COUNTED]

    def _turn_by_turn(self, turns: Turns, key: str) -> tuple[list[int], list[int]]:
        role, last = self._settings.role, len(turns) - 1
        tokens, labels = list[int](), list[int]()
        for number, turn in enumerate(turns):
            opens = number < last and turns[number + 1]["role"] == role
            longer = self._tokens(turns[: number + 1], key, prompt=opens)
            if longer[: len(tokens)] != tokens:
                raise BadRecord(
                    f"{key!r}: the template writes turns 1 to {number} otherwise when turn "
                    f"{number + 1} follows, so no token can be said to be of one turn"
                )
            new = longer[len(tokens) :]
            learnt = turn["role"] == role and (self._settings.learn == "role" or number == last)
            tokens = longer
            labels += new if learnt else [NOT_COUNTED] * len(new)
        return tokens, labels

    def _tokens(self, turns: Turns, key: str, *, prompt: bool) -> list[int]:
        text = self._template.render(turns, prompt=prompt)
        require_whole(text, key)
        return self._tokenizer.encode_bare(text)

    def _end_token(self) -> int | None:
        name = self._settings.special.get("eos_token")
        found = None if name is None else self._tokenizer.id_of(name)
        if found is None and (name is not None or self._settings.learn == "end"):
            raise DataError(
                f"--chat: the tokenizer has no eos_token {name!r}"
                if name
                else "--for-rm: tokenizer_config.json names no eos_token to give the reward at"
            )
        return found


def _turns(value: object, key: str) -> Turns:
    if not isinstance(value, list) or not value:
        raise BadRecord(f"{key!r} is not a list of turns")
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise BadRecord(f'{key!r}: turn {number} is not {{"role": ..., "content": ...}}')
        if "content" not in turn:
            raise BadRecord(f"{key!r}: turn {number} has no content")
    return value
