"""Lines of values, against a text whose lines are counted by hand and against generated ones."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from neox.content import shipped
from neox.sites.toml_lines import Path, key_lines

TEXT = '''\
schema = 1   # 1: a "quote" = in a comment
title = "a [b] # no comment"

[node]
cores = [
  "0-7",     # six
  "8-15",
]
"quoted.key" = 9
a.b = 10

[node.gpu]
kind = """
two
lines"""
after = 16

[[queues]]
name = 'one'
bins = [{ nodes = "1", time = "2" },
        { nodes = "3", time = "4" }]

[[queues]]
name = "two"
[queues.caps]
x = 26

[outer.inner]
y = 29
'''


def test_lines_counted_by_hand() -> None:
    lines = key_lines(TEXT)
    expected: dict[Path, int] = {
        ("schema",): 1,
        ("title",): 2,
        ("node",): 4,
        ("node", "cores"): 5,
        ("node", "cores", 0): 6,
        ("node", "cores", 1): 7,
        ("node", "quoted.key"): 9,
        ("node", "a", "b"): 10,
        ("node", "gpu"): 12,
        ("node", "gpu", "kind"): 13,
        ("node", "gpu", "after"): 16,
        ("queues", 0): 18,
        ("queues", 0, "bins", 0, "time"): 20,
        ("queues", 0, "bins", 1, "time"): 21,
        ("queues", 1): 23,
        ("queues", 1, "name"): 24,
        ("queues", 1, "caps", "x"): 26,
        ("outer",): 28,
        ("outer", "inner", "y"): 29,
    }
    assert {path: lines[path] for path in expected} == expected


def paths_of(data: object, at: Path = ()) -> set[Path]:
    below: set[Path] = {at} if at else set()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)  # type: ignore[assignment]
    else:
        return below
    return below.union(*(paths_of(inner, (*at, key)) for key, inner in items))


def test_every_value_of_every_shipped_file_has_a_line() -> None:
    files = [*shipped("sites").glob("*.toml"), *shipped("jobs").glob("*.toml")]
    assert len(files) >= 12
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines = key_lines(text)
        assert paths_of(tomllib.loads(text)) <= lines.keys()
        for path, line in lines.items():
            key = path[-1]
            if isinstance(key, str):
                assert key in text.splitlines()[line - 1]


STRINGS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=12)
QUOTED = STRINGS.map(lambda s: '"' + "".join(f"\\U{ord(c):08x}" for c in s) + '"')
LITERAL = STRINGS.filter(lambda s: s.isprintable() and "'" not in s).map(lambda s: f"'{s}'")
PLAIN = st.sampled_from(["1", "-2.5e3", "true", "2026-07-22", "0x1f", "2026-07-22T01:02:03Z"])
LONG = st.sampled_from(
    ['"""a\n"quotes" ] # }\nb"""', "'''\n[x]\n'''", '"""ends with \\""""', '"""two more"""""']
)
SCALARS = QUOTED | LITERAL | PLAIN
ARRAYS = st.lists(SCALARS | LONG, max_size=4).map(
    lambda parts: "[ # [\n" + "".join(f"  {part}, # ],\n" for part in parts) + "]"
)
INLINE = st.lists(SCALARS, max_size=3).map(
    lambda parts: "{" + ", ".join(f"k{i} = {part}" for i, part in enumerate(parts)) + "}"
)


@given(st.lists(SCALARS | LONG | ARRAYS | INLINE, max_size=6))
def test_any_value_is_walked_over(values: list[str]) -> None:
    text, expected, line = "", {}, 1
    for index, value in enumerate(values):
        text += f"key{index} = {value}\n"
        expected[(f"key{index}",)] = line
        line += value.count("\n") + 1
    assert paths_of(tomllib.loads(text)) <= key_lines(text).keys()
    assert {p: n for p, n in key_lines(text).items() if len(p) == 1} == expected
