"""Words come out of bash byte for byte, or are refused with the field's name."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.submit.quoting import (
    QuotingError,
    check_directive_line,
    check_directive_text,
    check_text,
    shell_text,
    shell_word,
)
from neox.submit.words import Literal, ShellVar, Word
from tests.submit.hostile import HOSTILE, PRINTABLE

VALUES = {"run": "/r u/n$(touch x)", "link": "`l`", "job_id": "7"}
printable = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
words = st.lists(
    st.one_of(printable.map(Literal), st.sampled_from(sorted(VALUES)).map(ShellVar)), max_size=5
).map(tuple)


def through_bash(printed: list[str]) -> list[str]:
    """What bash makes of these words when VALUES are set."""
    script = "printf '%s\\0' " + " ".join(printed)
    done = subprocess.run(
        ["/bin/bash", "-euc", script], env=VALUES, capture_output=True, check=True, timeout=20
    )
    return done.stdout.decode().split("\0")[:-1]


def meaning(word: Word) -> str:
    return "".join(part.text if isinstance(part, Literal) else VALUES[part.name] for part in word)


@settings(max_examples=25, deadline=None)
@given(st.lists(words, min_size=1, max_size=8))
def test_words_mean_what_they_say(batch: list[Word]) -> None:
    assert through_bash([shell_word(word) for word in batch]) == [meaning(word) for word in batch]


def test_hostile_values_arrive_byte_for_byte() -> None:
    values = list(PRINTABLE.values())
    assert through_bash([shell_text(value) for value in values]) == values


@pytest.mark.parametrize(
    ("word", "printed"),
    [
        ((ShellVar("link"), Literal("/rank.sh")), '"$link/rank.sh"'),
        ((ShellVar("run"), Literal("2")), '"${run}2"'),
        ((Literal("/tmp/miopen-"), ShellVar("job_id")), '"/tmp/miopen-$job_id"'),
        ((Literal("a'b"), ShellVar("run")), "'a'\"'\"'b'\"$run\""),
        ((Literal("--nodes=12"),), "--nodes=12"),
        ((Literal(""),), "''"),
        ((), "''"),
    ],
)
def test_words_read_well(word: Word, printed: str) -> None:
    assert shell_word(word) == printed


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - set(PRINTABLE)))
def test_what_cannot_be_quoted_is_refused_by_name(name: str) -> None:
    with pytest.raises(QuotingError, match=r"^account: "):
        check_text("account", HOSTILE[name])


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(QuotingError, match=r"^--name: .*not valid UTF-8"):
        check_text("--name", b"\xff".decode(errors="surrogateescape"))


@pytest.mark.parametrize("value", ["a b", "$(x)", "`x`", "a;b", 'a"b', "a'b", "a\\b", "ü", "a\n"])
def test_a_persons_text_in_a_directive_is_whitelisted(value: str) -> None:
    with pytest.raises(QuotingError, match=r"^--queue: "):
        check_directive_text("--queue", value)


def test_a_sites_directives_pass() -> None:
    for line in ('-alloc_flags "gpumps smt1 nvme"', "--constraint=gpu&hbm80g", "-w ended(12)"):
        assert check_directive_line("scheduler.directives", line) == line
    for line in ("--x=$(id)", "--x=`id`", "--x=a;b", "--x=a\\"):
        with pytest.raises(QuotingError, match=r"^scheduler\.directives: "):
            check_directive_line("scheduler.directives", line)
