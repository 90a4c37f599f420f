"""An old GPT-NeoX file as this version wants it: what is rewritten, and why.

The run stays what GPT-NeoX made of the file. Names that changed are renamed; what it overwrote,
ignored or read nowhere is commented out, so that what stands in the file is what counts.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neox.config.arguments.argument import Argument, argument_of
from neox.config.layers import round_up
from neox.config.nodes import parse
from neox.config.rewriting import (
    Edit,
    Entry,
    apply,
    entries_of,
    renamed,
    taken_out,
    with_value,
    without_trailing_commas,
)
from neox.config.table import OLD_NAMES, record_in, table
from neox.config.typed import nearest

_TYPO = "a misspelling that GPT-NeoX refused"
_OLD_MOE = "of GPT-NeoX's older experts, which dropped tokens; these drop none"
RENAMED: Mapping[str, str] = {
    **OLD_NAMES,
    "expert_interval": "moe_expert_interval",
    "soft_prompt_tuning.num_tokens": "n_tokens",
}
REMOVED: Mapping[str, str] = {
    "attention_type": f"{_TYPO}; attention_config says it",
    "create_moe_param_group": _OLD_MOE,
    "decay_lr_to": f"{_TYPO}; min_lr says it, as a rate and not as a share of the peak",
    "enable_expert_tensor_parallelism": _OLD_MOE,
    "moe_eval_capacity_factor": _OLD_MOE,
    "moe_expert_parallel_size": _OLD_MOE,
    "moe_loss_coeff": _OLD_MOE,
    "moe_min_capacity": _OLD_MOE,
    "moe_token_dropping": _OLD_MOE,
    "moe_train_capacity_factor": _OLD_MOE,
    "moe_use_residual": _OLD_MOE,
    "warmup_iters": f"{_TYPO}; warmup says it, as a share of train_iters",
}
_OUT = "taken out"
_KEPT = frozenset({"head_size", "ffn_dim"})  # derived, but GPT-NeoX let them be given
_WRONG_PRECISION = "GPT-NeoX took this spelling for fp32, without a word; here it is {}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was rewritten."""

    line: int  # of the old text
    name: str
    message: str

    @property
    def is_out(self) -> bool:
        return self.message.startswith(_OUT)

    def __str__(self) -> str:
        return f"{self.line}: {self.name}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Migrated:
    text: str
    changes: tuple[Change, ...]


Rewrite = tuple[Edit, Change]


def migrated(text: str, source: str) -> Migrated:
    """The text rewritten. Raises ConfigErrors where it does not parse, before or afterwards."""
    parse(text, source)
    entries = entries_of(text)
    rewriting = _Rewriting(text, entries)
    found = [rewrite for entry in entries for rewrite in rewriting.of(entry)]
    new = apply(text, (edit for edit, _ in found))
    if found and _is_json(text):
        new = without_trailing_commas(new)
    if any(not line.lstrip().startswith("#") for line in new.split("\n") if line.strip()):
        parse(new, source)
    changes = sorted((change for _, change in found), key=lambda change: change.line)
    return Migrated(text=new, changes=tuple(dict.fromkeys(changes)))


class _Rewriting:
    """What becomes of each entry of one text."""

    def __init__(self, text: str, entries: tuple[Entry, ...]) -> None:
        self._text = text
        self._entries = {entry.name: entry for entry in entries}
        self._comments = not _is_json(text)

    def of(self, entry: Entry) -> Iterator[Rewrite]:
        """The rewrites of a top-level entry."""
        name = entry.name
        if name in RENAMED:
            yield self._renamed(entry, RENAMED[name])
        elif name in REMOVED:
            yield self._out(entry, REMOVED[name])
        elif name == "mlp_type":
            yield self._llama_width(entry)
        elif name == "activation" and self._scalar("mlp_type") == "llama":
            message = "mlp_type: llama was a gated block: swiglu"
            yield self._value(entry, "swiglu", message)
        elif name == "intermediate_size" and self._scalar("mlp_type") == "llama":
            width = self._count(name)
            if width is not None:
                message = "mlp_type: llama had this inner width, and a gated block gets a third"
                yield self._value(entry, str(3 * width), message)
        elif name == "fp16" and self._in("fp16", "type").lower() == "bfloat16":
            yield self._bfloat16(entry)
        elif name in table():
            yield from self._known(entry, table()[name].wanted, table()[name].about)

    def _known(self, entry: Entry, wanted: object, about: Argument) -> Iterator[Rewrite]:
        reason = _why_dead(entry.name, about)
        record = record_in(wanted)
        if reason is not None:
            yield self._out(entry, reason)
        elif entry.name == "precision":
            yield from self._precision(entry)
        elif entry.name == "output_layer_parallelism" and entry.scalar == "row":
            yield self._value(entry, "column", "the output matrix is cut by vocabulary alone")
        elif record is not None and entry.inner:
            yield from self._nested(entry, record)

    def _nested(self, entry: Entry, record: type) -> Iterator[Rewrite]:
        """The keys of a dict; where none is left, the dict goes, too."""
        fields = {field.name: field for field in dataclasses.fields(record)}
        rewrites: list[Rewrite] = []
        left = 0
        for one in entry.inner:
            inner = list(self._key(one, fields))
            left += not any(change.name == one.name and change.is_out for _, change in inner)
            rewrites += inner
        if left:
            yield from rewrites
        else:
            yield self._out(entry, "no key in it had an effect")

    def _key(
        self, one: Entry, fields: Mapping[str, "dataclasses.Field[object]"]
    ) -> Iterator[Rewrite]:
        key = one.name.rpartition(".")[2]
        if one.name in RENAMED:
            yield self._renamed(one, RENAMED[one.name])
        elif key in fields:
            yield from self._known(one, fields[key].type, argument_of(fields[key]))
        else:
            near = nearest(key, fields)
            yield self._out(one, f"GPT-NeoX ignored it, as any unknown key in a dict{near}")

    def _precision(self, entry: Entry) -> Iterator[Rewrite]:
        exact = ("fp16", "fp32", "bfloat16")
        spelt = dict(table()["precision"].about.also)
        meant = spelt.get((entry.scalar or "").lower(), (entry.scalar or "").lower())
        if entry.scalar not in exact and meant in exact and meant != "fp32":
            yield self._value(entry, meant, _WRONG_PRECISION.format(meant))

    def _bfloat16(self, entry: Entry) -> Rewrite:
        """`fp16: {type: bfloat16}` was bfloat16's first spelling."""
        reason = "its type is bfloat16, which precision: bfloat16 says"
        if "precision" in self._entries:
            return self._out(entry, reason)
        if self._comments and "{" not in self._text[: entry.key[0]]:
            edit = self._out(entry, reason)[0]
            edit = dataclasses.replace(edit, text=f"precision: bfloat16\n{edit.text}")
        else:
            edit = Edit(start=entry.key[0], end=entry.value[1], text='"precision": "bfloat16"')
        return edit, Change(line=entry.line, name=entry.name, message=f"rewritten: {reason}")

    def _llama_width(self, entry: Entry) -> Rewrite:
        """`mlp_type: llama` chose a gated block of two thirds of 4 x hidden_size."""
        if entry.scalar != "llama":
            return self._out(entry, "activation alone says it")
        hidden, multiple = self._count("hidden_size"), self._count("mlp_multiple_of") or 256
        new = [] if "activation" in self._entries else [("activation", "swiglu")]
        if hidden and "intermediate_size" not in self._entries:
            width = round_up(int(hidden * 8 / 3), multiple)
            new.append(("intermediate_size", str(3 * width)))
        if not new:
            return self._out(entry, "activation: swiglu says it")
        quote = '"' if self._text[entry.key[0]] == '"' else ""
        begin = self._text.rfind("\n", 0, entry.key[0]) + 1
        indent = self._text[begin : entry.key[0]] if not quote else " "
        glue = f", {indent}" if quote else f"\n{indent}"
        shown = [
            f"{quote}{name}{quote}: {value if value.isdecimal() else f'{quote}{value}{quote}'}"
            for name, value in new
        ]
        message = f"renamed: a gated block, {' and '.join(f'{n}: {v}' for n, v in new)}"
        edit = Edit(start=entry.key[0], end=entry.value[1], text=glue.join(shown))
        return edit, Change(line=entry.line, name=entry.name, message=message)

    def _renamed(self, entry: Entry, name: str) -> Rewrite:
        message = f"renamed: it is {name} now"
        return renamed(self._text, entry, name), _change(entry, message)

    def _value(self, entry: Entry, value: str, message: str) -> Rewrite:
        edit = with_value(self._text, entry, value)
        return edit, _change(entry, f"{entry.scalar} is {value} now: {message}")

    def _out(self, entry: Entry, reason: str) -> Rewrite:
        edit = taken_out(self._text, entry, reason, comments=self._comments)
        return edit, _change(entry, f"{_OUT}: {reason}")

    def _scalar(self, name: str) -> str | None:
        return self._entries[name].scalar if name in self._entries else None

    def _count(self, name: str) -> int | None:
        text = self._scalar(name) or ""
        return int(text) if text.isdecimal() else None

    def _in(self, name: str, key: str) -> str:
        """The scalar of a key in a dict, or nothing."""
        inner = self._entries[name].inner
        return next((one.scalar or "" for one in inner if one.name == f"{name}.{key}"), "")


def _change(entry: Entry, message: str) -> Change:
    return Change(line=entry.line, name=entry.name, message=message)


def _why_dead(name: str, about: Argument) -> str | None:
    """Why the value has no effect; None where it has one."""
    if about.status == "unread":
        return "GPT-NeoX read it nowhere"
    if about.status in ("chosen", "runtime"):
        return about.note
    if about.status == "derived" and "." not in name and name not in _KEPT:
        return f"GPT-NeoX overwrote it; what counts is {about.note}"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
