"""A shipped config's data and tokenizer are examples: a file behind it says where they really are.

`configs/125M.yml my_setup.yml` trains on my_setup's data, though both name some. A file of the
shelf itself (people edit configs/local_setup.yml) replaces data by the same name alone, unless
it names a tokenizer, too: local_setup behind llemma/7B stays an error. So does anything else that
two files say differently, and a sized config behind the file that says where things are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from neox.config.nodes import Branch, Node


@dataclass(frozen=True, kw_only=True)
class Example:
    """Arguments that name one thing together; one of `by` in a later file replaces them all."""

    by: frozenset[str]
    also: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        return self.by | self.also


def _sets(*kinds: str) -> frozenset[str]:
    parts = ("train", "valid", "test")
    sides = {"data": ("", "pos_", "neg_"), "label_data": ("", "pos_", "neg_"), "reward_data": ("",)}
    return frozenset(
        f"{side}{part}_{kind}_paths" for kind in kinds for part in parts for side in sides[kind]
    )


_DATA = Example(
    by=frozenset({"data_path"}) | _sets("data"),
    also=_sets("label_data", "reward_data")
    | frozenset(f"{part}_data_weights" for part in ("train", "valid", "test")),
)
_TOKENIZER = Example(
    by=frozenset({"tokenizer_type", "vocab_file", "merge_file"}), also=frozenset({"vocab_size"})
)
_OTHERS = (Example(by=frozenset({"split"})), Example(by=frozenset({"tensorboard_dir"})))


def without_examples(base: Branch, more: Branch, shipped: frozenset[str]) -> Branch:
    """`base` without the examples of `shipped` files that `more` replaces."""
    after = dict(more.entries)
    if more.place.source in shipped and "num_layers" in after:
        return base  # its data are an example themselves
    gone = frozenset[str]().union(
        *(e.names for e in (_DATA, _TOKENIZER, *_OTHERS) if _says_otherwise(base, after, e))
    )
    complete = _DATA.by & after.keys() and _TOKENIZER.by & after.keys()
    if more.place.source in shipped and not complete:
        gone &= after.keys() | _TOKENIZER.names
    entries = tuple(
        (name, node)
        for name, node in base.entries
        if name not in gone or node.place.source not in shipped
    )
    return replace(base, entries=entries)


def _says_otherwise(base: Branch, after: Mapping[str, Node], example: Example) -> bool:
    from neox.config.typed import same  # noqa: PLC0415

    before = dict(base.entries)
    named = example.by & after.keys()
    return any(name not in before or not same(before[name], after[name]) for name in named)
