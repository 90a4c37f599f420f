"""Values made to harm: they arrive unchanged or are refused with the argument's name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from neox.config.arguments.argument import Argument
from neox.config.derive import config_value, resolve
from neox.config.given import Given
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.table import about, table
from neox.config.write import as_yaml, dump

from .conftest import Reader

HOSTILE = {
    "quotes": "a'b\"c",
    "substitution": "$(touch x)",
    "backticks": "`touch x`",
    "newline": "a\nb",
    "semicolon": "; touch x",
    "unicode": "é\u202e\N{GRINNING FACE}",
    "leading dash": "--rm -rf",
    "percent": "%s%j %(x)s {{x}} {x}",
    "backslash": "a\\b\\",
    "long": "x" * 300,
    "empty": "",
    "nul": "a\x00b",
    "yaml": "a: b # c",
    "anchor": "*a &b !c",
    "brackets": "[a, {b: c}",
    "list": "[a]",
    "spaces": "  a  ",
}
REFUSED = {"newline", "nul"}
FREE_TEXT = [
    entry.name
    for entry in table().values()
    if entry.wanted in (str, str | None) and entry.about.status != "runtime"
]


def test_there_are_text_arguments_to_try() -> None:
    assert len(FREE_TEXT) > 30


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_text_argument_by_key_value(kind: str, given: Reader) -> None:
    for name in FREE_TEXT:
        _try(partial(given, f"{name}={HOSTILE[kind]}"), name, kind)


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_text_argument_in_a_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.json"
    for name in FREE_TEXT:
        path.write_text(json.dumps({name: HOSTILE[kind]}))
        _try(partial(load, [path]), name, kind)


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_text_argument_in_a_job_kind(kind: str, small: Path) -> None:
    for name in FREE_TEXT:
        read = partial(load, [small], (), {name: HOSTILE[kind]}, "jobs/x.toml")
        _try(read, name, kind)


def _try(read: Callable[[], Given], name: str, kind: str) -> None:
    allowed = argument_of_name(name).allows
    if kind in REFUSED and not (kind == "newline" and allowed):
        with pytest.raises(ConfigErrors) as caught:
            read()
        assert f"{name}: holds the control character" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    else:
        assert read().values[name] == HOSTILE[kind]


def argument_of_name(name: str) -> Argument:
    found = about(name)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", sorted(set(HOSTILE) - REFUSED))
def test_they_survive_the_run_yml(kind: str, small: Path, tmp_path: Path) -> None:
    layer = {
        "wandb_group": HOSTILE[kind],
        "data_path": HOSTILE[kind],
        "comet_tags": [HOSTILE[kind]],
    }
    config = resolve(load([small], (), layer, "job"), 1)
    run = tmp_path / "run.yml"
    run.write_text(dump(config))
    again = resolve(load([run]), 1)
    assert again == config
    assert again.data.data_path == HOSTILE[kind]


def test_other_control_characters_are_refused_everywhere(small: Path) -> None:
    for character in "\x07\x1b\x7f\x85\u2028\ud800\t\r":
        for layer in (
            {"wandb_group": f"a{character}"},
            {"comet_tags": ["a", character]},
            {"comet_others": {"a": character}},
            {"comet_others": {character: "a"}},
            {"fp16": {"type": character}},
        ):
            with pytest.raises(ConfigErrors, match=r"holds the control character U\+"):
                load([small], (), layer, "job")


def test_a_hostile_key_ends_in_one_line(given: Reader) -> None:
    for key in ("a\nb", "$(touch x)", "\x1b[2J", "é" * 300):
        with pytest.raises(ConfigErrors) as caught:
            given(f"{key}=1")
        text = str(caught.value)
        assert len(text.splitlines()) == 1
        assert text.isprintable()


def test_a_prompt_may_end_in_a_newline(given: Reader) -> None:
    assert given("prompt_end=\n\n").values["prompt_end"] == "\n\n"
    assert config_value(resolve(given(), 1), "prompt_end") == "\n"


def test_text_that_turns_the_line_around_is_written_escaped() -> None:
    assert as_yaml("\u202e") == '"\\U0000202E"'
