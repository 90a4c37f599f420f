"""A Hugging Face chat template: turns to text, as `apply_chat_template` writes it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from neox.data.errors import DataError
from neox.data.fields import BadRecord

if TYPE_CHECKING:
    from jinja2 import Environment

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


class ChatTemplate:
    """`text` is Jinja; `special` the tokens that it may name, such as `eos_token`."""

    def __init__(self, text: str, special: Mapping[str, str]) -> None:
        from jinja2 import TemplateError  # noqa: PLC0415  # only chats need it

        self._special = special
        self._error = TemplateError
        try:
            self._template = _environment().from_string(text)
        except TemplateError as error:
            raise DataError(f"the chat template is not Jinja: {error}") from None

    def render(self, turns: Sequence[Mapping[str, object]], *, prompt: bool) -> str:
        """The text of `turns`; with `prompt`, what opens the next answer as well."""
        try:
            return self._template.render(
                messages=turns, add_generation_prompt=prompt, **self._special
            )
        except (self._error, TypeError) as error:
            raise BadRecord(f"the chat template refuses it: {error}") from None


def find_template(tokenizer: Path, given: Path | None) -> tuple[str, dict[str, str]]:
    """The template and its special tokens, from the files beside a tokenizer.

    Raises DataError where there is no template.
    """
    config = _config(tokenizer.with_name("tokenizer_config.json"))
    special = {name: _content(config[name]) for name in SPECIAL if config.get(name)}
    beside = tokenizer.with_name("chat_template.jinja")
    if given is None and beside.is_file():
        given = beside
    if given is not None:
        return given.read_text(encoding="utf-8"), special
    match config.get("chat_template"):
        case str(text):
            return text, special
        case [*named]:
            for one in named:
                if isinstance(one, dict) and one.get("name") == "default":
                    return str(one["template"]), special
    raise DataError(
        f"{tokenizer.parent}: no chat_template.jinja, and no chat_template in "
        "tokenizer_config.json; give --chat-template FILE"
    )


def _config(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        parsed: object = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise DataError(f"{path}: not a JSON object")
    return parsed


def _content(token: object) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _environment() -> "Environment":
    """As transformers makes it (transformers/utils/chat_template_utils.py)."""
    from jinja2 import TemplateError, nodes  # noqa: PLC0415
    from jinja2.ext import Extension, loopcontrols  # noqa: PLC0415
    from jinja2.parser import Parser  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Generation(Extension):
        """`{% generation %}` marks what the model wrote; the text inside is all that counts."""

        tags = {"generation"}  # noqa: RUF012  # Jinja's own way

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    def plain_json(value: object, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = plain_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment
