"""Files, lines, merging, KEY=VALUE, types: what a person can get wrong on the way in."""

import json
from pathlib import Path

import pytest

from neox.config.load import load, missing_files
from neox.config.places import ConfigErrors

from .conftest import SMALL, Reader


def errors_of(text: str, tmp_path: Path, name: str = "bad.yml") -> list[str]:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load([path])
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_typo_names_file_line_and_the_nearest_argument(tmp_path: Path) -> None:
    lines = errors_of("num_layers: 4\nhiden_size: 64\n", tmp_path)
    assert lines == ["bad.yml:2: unknown argument hiden_size; did you mean hidden_size?"]


def test_a_typo_in_a_dict_is_found_too(tmp_path: Path) -> None:
    text = "zero_optimization:\n  stage: 1\n  reduce_buket_size: 5\n"
    lines = errors_of(text, tmp_path)
    assert lines[0] == (
        "bad.yml:3: unknown key zero_optimization.reduce_buket_size; did you mean "
        "reduce_bucket_size?"
    )
    lines = errors_of("optimizer: {type: Adam,\n params: {learning_rate: 1}}\n", tmp_path)
    assert lines[0].startswith("bad.yml:2: unknown key optimizer.params.learning_rate")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("num_layers: 4", "num_layers: four") + "wurmup: 1\nwarmup: 2\nnorm: foo\n"
    lines = errors_of(text, tmp_path)
    assert lines == [
        "bad.yml:1: num_layers: expected a whole number, got 'four'",
        "bad.yml:11: unknown argument wurmup; did you mean warmup?",
        "bad.yml:12: warmup: 2 must be at least 0 and at most 1",
        "bad.yml:13: norm: 'foo' is not one of layernorm, rmsnorm, non_parametric_layernorm, "
        "scalenorm, te_rmsnorm, te_layernorm",
    ]


@pytest.mark.parametrize(
    "text", ["seed: 1\nseed: 1\n", "train-iters: 1\ntrain_iters: 1\n", '{"seed": 1,\n"seed": 2}']
)
def test_a_key_twice_in_one_file_is_an_error_however_it_is_spelled(
    text: str, tmp_path: Path
) -> None:
    (line,) = errors_of(text, tmp_path)
    assert line.startswith("bad.yml:2: ")
    assert line.endswith("is given twice, first in line 1")


def test_twice_in_a_dict(tmp_path: Path) -> None:
    lines = errors_of("fp16:\n  enabled: true\n  enabled: false\n", tmp_path)
    assert lines[0] == "bad.yml:3: fp16.enabled is given twice, first in line 2"


def test_two_files_may_agree_but_not_differ(small: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.yml"
    same.write_text("num-layers: 4\nzero_optimization: {stage: 1}\n")
    more = tmp_path / "more.yml"
    more.write_text("zero_optimization: {overlap_comm: true}\n")
    given = load([small, same, more])
    assert str(given.places["zero_optimization.overlap_comm"]) == f"{more}:1"
    assert str(given.places["zero_optimization.stage"]) == f"{same}:2"
    other = tmp_path / "other.yml"
    other.write_text("seed: 3\nnum-layers: 5\n")  # GPT-NeoX let the dashed name win silently
    with pytest.raises(ConfigErrors) as caught:
        load([small, other])
    assert str(caught.value) == (
        f"{other}:2: num_layers is given twice with another value, first in {small}:1; delete "
        "one, or say num_layers=VALUE on the command line"
    )


def test_key_value_beats_files_and_job_kinds(small: Path) -> None:
    layer = {"train_iters": 7, "optimizer": {"type": "Adam", "params": {"lr": 0.5}}}
    given = load([small], ["train-iters=9", "optimizer.params.eps=1e-6"], layer, "jobs/x.toml")
    assert given.values["train_iters"] == 9
    assert given.places["train_iters"].source == "train-iters=9"
    assert str(given.places["optimizer.params.lr"]) == "jobs/x.toml"
    optimizer = given.values["optimizer"]
    assert optimizer.params.lr == 0.5  # type: ignore[attr-defined]
    assert optimizer.params.eps == 1e-6  # type: ignore[attr-defined]


def test_a_job_kind_beats_the_files(small: Path) -> None:
    assert load([small], (), {"train_iters": 7}, "jobs/x.toml").values["train_iters"] == 7


def test_key_value_twice_and_nonsense(given: Reader) -> None:
    with pytest.raises(ConfigErrors, match="seed is given twice, first as seed=1"):
        given("seed=1", "seed=2")
    for word in ("seed", "=3", "a..b=3"):
        with pytest.raises(ConfigErrors, match="neither a file nor KEY=VALUE"):
            given(word)


def test_numbers_that_yaml_takes_for_text(given: Reader) -> None:
    assert given("min_lr=1e-4").values["min_lr"] == 1e-4
    assert given("min_lr=3").values["min_lr"] == 3.0
    zero = given("zero_optimization={stage: 1, reduce_bucket_size: 5e8}").values
    assert zero["zero_optimization"].reduce_bucket_size == 500_000_000  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train_iters=1.5", "expected a whole number, got the number 1.5"),
        ("train_iters='10'", "got '10'; write it without quotes"),
        ("train_iters=010", "YAML reads a leading zero as octal"),
        ("train_iters=1:30", "expected a whole number"),
        ("train_iters=0x10", "expected a whole number"),
        ("train_iters=true", "expected a whole number, got true"),
        ("train_iters=[1]", "expected a whole number, got a list"),
        ("train_iters=1e400", "is too large"),
        ("train_iters=" + "9" * 5000, "expected a whole number"),
        ("train_iters=", "expected a whole number, got ''"),
        ("train_data_paths=[null]", "got null; leave it out instead"),
        ("min_lr=abc", "expected a number, got 'abc'"),
        ("min_lr=.inf", "expected a number"),
        ("min_lr=1e999", "is too large for a number"),
        ("gpt_j_residual=1", "expected true or false, got the number 1"),
        ("gpt_j_residual='true'", "expected true or false, got 'true'"),
        ("optimizer=Adam", "optimizer: expected a dict, got 'Adam'"),
        ("optimizer.params.betas=[0.9]", "expected 2 values, got 1"),
        ("num_layers.x=3", "num_layers: expected a whole number, got a dict"),
        ("lr_decay_style=cosin", "did you mean cosine?"),
        ("zero_optimization.stage=4", "4 is not one of 0, 1, 2, 3"),
        ("train_data_paths=a", "expected a list, got 'a'"),
    ],
)
def test_a_wrong_type_says_what_was_expected(given: Reader, word: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        given(word)
    name = word.partition("=")[0].removesuffix(".x")
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_null_takes_back_what_a_file_gave(given: Reader, tmp_path: Path) -> None:
    plain = given()
    assert given("seed=null").values == plain.values
    assert "train_iters" not in given("train_iters=null").values
    assert "train_iters" not in given("train-iters=null").places
    more = tmp_path / "more.yml"
    more.write_text("fp16: {enabled: true, hysteresis: 4}\noptimizer: {type: SGD}\n")
    assert load([more], ["fp16=null", "optimizer.type=null"]).values == {}
    left = load([more], ["fp16.hysteresis=null"]).values["fp16"]
    assert (left.enabled, left.hysteresis) == (True, 2)  # type: ignore[attr-defined]
    assert load([more], ["fp16=null"], {"fp16": {"enabled": False}}, "job").places == {
        name: place for name, place in load([more]).places.items() if name.startswith("optimizer")
    }


@pytest.mark.parametrize("word", ["sed=null", "fp16.enable=null", "num_layers.x=null"])
def test_null_is_no_way_around_a_name_that_does_not_exist(given: Reader, word: str) -> None:
    with pytest.raises(ConfigErrors, match=r"unknown|expected"):
        given(word)


def test_choices_know_no_case_and_other_spellings(given: Reader) -> None:
    assert given("lr_decay_style=Cosine").values["lr_decay_style"] == "cosine"
    assert given("precision=bf16").values["precision"] == "bfloat16"
    assert given("precision=BFLOAT16").values["precision"] == "bfloat16"
    assert given("optimizer={type: adam}").values["optimizer"].type == "Adam"  # type: ignore[attr-defined]


def test_text_that_looks_like_a_number_wants_quotes(tmp_path: Path) -> None:
    lines = errors_of("wandb_group: 123\n", tmp_path)
    expected = 'bad.yml:1: wandb_group: expected text, got the number 123; write "123" with quotes'
    assert lines[0] == expected


def test_json_reads_as_yaml_does(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n\t"seq-length": 1E3,\n\t"wandb_group": "x\\ty"}')
    with pytest.raises(ConfigErrors, match=r"a\.json:3: wandb_group: holds the control .*U\+0009"):
        load([path])
    path.write_text('{\n\t"seq-length": 1E3,\n\t"wandb_group": "\\ud83d\\ude00\\/x"\n}')
    assert load([path]).values == {"seq_length": 1000, "wandb_group": "\N{GRINNING FACE}/x"}
    path.write_text(json.dumps({"train_iters": 3, "extra_save_iters": [1, 2]}, indent=2))
    assert load([path]).values == {"train_iters": 3, "extra_save_iters": (1, 2)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"\xff\xfe\x00a", "is a binary file"),
        (b"a\x00b", "is a binary file"),
        (b"\x07: 1", "is not YAML"),
        (b"- 1\n", "is not a mapping"),
        (b"just text", "is not a mapping"),
        (b"a: [1\n", "is not YAML"),
        (b"a: 1\n b: 2\n", "bad.yml:2: is not YAML"),
        (b"a: &a [*a]\n", "too many values"),
        (b"[" * 200_000, "nested too deeply"),
        (b"- " * 50_000, "nested too deeply"),
        (b"<<: {a: 1}\n", "the merge key << is not supported"),
        (b"? [1]\n: 2\n", "a key must be a name"),
        (b"seed: !!python/name:os.system 1\n", "is not supported"),
        (b"seed: 1\n---\nseed: 2\n", "is not YAML"),
    ],
)
def test_files_that_are_no_config_end_in_one_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigErrors) as caught:
        load([path])
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_unreadable_and_suffixless_files(small: Path, tmp_path: Path) -> None:
    assert load([small.with_suffix("")]).values["num_layers"] == 4
    with pytest.raises(ConfigErrors, match="no/such: no such file"):
        load([Path("no/such")])
    with pytest.raises(ConfigErrors, match="is a directory"):
        load([tmp_path])


def test_a_billion_laughs_do_not_unfold(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    (line,) = errors_of("\n".join(rows), tmp_path)
    assert "too many values" in line


def test_older_names_are_read_as_the_new_ones(given: Reader, tmp_path: Path) -> None:
    assert given("save_interval=500").values["checkpoint_factor"] == 500
    assert given("gas=2").values["gradient_accumulation_steps"] == 2
    (line,) = errors_of("gas: 1\ngradient_accumulation_steps: 1\n", tmp_path)
    assert "given twice" in line


def test_what_has_no_effect_is_warned_of_once_per_reason(given: Reader) -> None:
    warnings = given("min_scale=2", "launcher=slurm", "deepspeed_slurm=true").warnings
    assert warnings == (
        "without effect: min_scale (min_scale=2): read nowhere",
        "without effect: launcher (launcher=slurm), deepspeed_slurm (deepspeed_slurm=true): "
        "neox-submit starts jobs the site's way",
    )
    assert (
        given("fp16={enabled: true, fp16: true}")
        .warnings[0]
        .startswith("without effect: fp16.fp16 ")
    )


def test_a_missing_hostfile_is_an_error(given: Reader, small: Path, tmp_path: Path) -> None:
    (problem,) = missing_files(given(f"hostfile={tmp_path}/none"))
    assert f"{tmp_path}/none is not there" in problem.message
    assert missing_files(given(f"hostfile={small}")) == ()
    assert missing_files(given()) == ()


def test_the_texts_are_kept(given: Reader, small: Path) -> None:
    assert given().texts == {str(small): SMALL}
