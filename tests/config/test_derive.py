"""Derived values, and GPT-NeoX's traps, each mended."""

from pathlib import Path

import pytest

from neox.config.derive import origin_of, resolve
from neox.config.load import load
from neox.config.places import ConfigErrors

from .conftest import Resolver

MICRO, STEPS, TOTAL = (
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "train_batch_size",
)


def batch_of(tmp_path: Path, ranks: int | None, **numbers: int) -> tuple[int | None, ...]:
    path = tmp_path / "b.yml"
    lines = [
        "num_layers: 4\nhidden_size: 64\nnum_attention_heads: 4\nseq_length: 32\ntrain_iters: 9"
    ]
    names = {"total": TOTAL, "micro": MICRO, "steps": STEPS}
    lines += [f"{names[key]}: {value}" for key, value in numbers.items()]
    path.write_text("\n".join(lines))
    batch = resolve(load([path]), ranks).batch
    return (
        batch.train_batch_size,
        batch.train_micro_batch_size_per_gpu,
        batch.gradient_accumulation_steps,
    )


@pytest.mark.parametrize(
    ("numbers", "complete"),
    [
        ({"total": 48, "micro": 2, "steps": 4}, (48, 2, 4)),
        ({"total": 48, "micro": 2}, (48, 2, 4)),  # GPT-NeoX took accumulation 1 and failed
        ({"total": 48, "steps": 4}, (48, 2, 4)),
        ({"micro": 2, "steps": 4}, (48, 2, 4)),
        ({"total": 48}, (48, 8, 1)),
        ({"micro": 2}, (12, 2, 1)),
    ],
)
def test_two_batch_numbers_give_the_third(
    numbers: dict[str, int], complete: tuple[int, int, int], tmp_path: Path
) -> None:
    assert batch_of(tmp_path, 6, **numbers) == complete


def test_without_ranks_the_rest_stays_open(tmp_path: Path) -> None:
    assert batch_of(tmp_path, None, total=48, micro=2) == (48, 2, None)
    assert batch_of(tmp_path, None, micro=2, steps=4) == (None, 2, 4)
    assert batch_of(tmp_path, None, total=48) == (48, None, 1)


@pytest.mark.parametrize(
    ("ranks", "numbers", "message"),
    [
        (5, {"total": 48, "micro": 2}, "data ranks that fit: 4 or 6"),
        (6, {"total": 48, "micro": 5}, "train_micro_batch_size_per_gpu: 4 would fit"),
        (6, {"total": 48, "micro": 2, "steps": 3}, "leave gradient_accumulation_steps out, and it"),
        (7, {"total": 49, "steps": 2}, "gradient_accumulation_steps: 1 would fit"),
        (5, {"total": 49, "micro": 2}, "40 would fit"),
        (None, {"total": 48, "micro": 5}, "48 is no multiple of train_micro_batch_size_per_gpu: 5"),
        (6, {"steps": 3}, "train_micro_batch_size_per_gpu: not set"),
        (6, {"total": 0, "micro": 2}, "train_batch_size: 0 must be at least 1"),
        (6, {"micro": -2}, "train_micro_batch_size_per_gpu: -2 must be at least 1"),
    ],
)
def test_batch_numbers_that_do_not_fit_say_what_would(
    ranks: int | None, numbers: dict[str, int], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        batch_of(tmp_path, ranks, **numbers)
    assert message in str(caught.value)


def test_what_would_fit_does_fit(tmp_path: Path) -> None:
    assert batch_of(tmp_path, 4, total=48, micro=2) == (48, 2, 6)
    assert batch_of(tmp_path, 6, total=48, micro=4) == (48, 4, 2)
    assert batch_of(tmp_path, 5, total=40, micro=2) == (40, 2, 4)


def test_a_pinned_batch_keeps_its_size_on_other_nodes(resolved: Resolver) -> None:
    for ranks in (1, 2, 4, 8):
        batch = resolved(f"{TOTAL}=16", ranks=ranks).batch
        assert (batch.train_batch_size, batch.gradient_accumulation_steps) == (16, 8 // ranks)


def test_precision_bf16_is_bfloat16(resolved: Resolver) -> None:
    config = resolved("precision=bf16")  # GPT-NeoX trained in fp32, silently
    assert config.precision.precision == "bfloat16"
    assert config.precision.bf16.enabled
    assert origin_of(config, "bf16.enabled").text == "rule: precision is bfloat16"


def test_precision_follows_the_dict_that_is_on(resolved: Resolver) -> None:
    assert resolved("bf16={enabled: true}").precision.precision == "bfloat16"
    config = resolved("fp16={enabled: true}").precision
    assert (config.precision, config.dynamic_loss_scale) == ("fp16", True)
    assert resolved("fp16={enabled: true, loss_scale: 8}").precision.loss_scale == 8
    assert resolved("fp16={enabled: false}").precision.precision == "fp32"
    assert resolved("precision=fp16").precision.fp16.enabled


@pytest.mark.parametrize(
    "words",
    [
        ("precision=fp16", "bf16.enabled=true"),
        ("precision=fp32", "fp16.enabled=true"),
        ("precision=fp16", "fp16.enabled=false"),
        ("fp16.enabled=true", "bf16.enabled=true"),
        ("fp16.enabled=true", "fp16.loss_scale=8", "loss_scale=4"),
        ("fp16.enabled=true", "fp16.loss_scale=8", "dynamic_loss_scale=true"),
    ],
)
def test_formats_that_contradict(words: tuple[str, ...], resolved: Resolver) -> None:
    with pytest.raises(ConfigErrors):
        resolved(*words)


@pytest.mark.parametrize(
    ("other", "name", "value", "another"),
    [
        ("lr", "optimizer.params.lr", "0.5", "0.25"),
        ("clip_grad", "gradient_clipping", "0.5", "0.25"),
        ("batch_size", MICRO, "2", "4"),
        ("optimizer.params.weight_decay", "weight_decay", "0.5", "0.25"),
        ("zero_stage", "zero_optimization.stage", "1", "0"),
        ("zero_reduce_bucket_size", "zero_optimization.reduce_bucket_size", "100", "200"),
        ("loss_scale", "fp16.loss_scale", "8.0", "16.0"),
    ],
)
def test_a_second_name_is_used_or_an_error(
    other: str, name: str, value: str, another: str, resolved: Resolver
) -> None:
    from neox.config.derive import config_value

    extra = ["optimizer.type=Adam"] if other in ("lr", "optimizer.params.weight_decay") else []
    if name.startswith("zero_optimization.r"):
        extra = ["zero_optimization.stage=1"]
    config = resolved(f"{other}={value}", *extra)  # GPT-NeoX dropped lr and clip_grad
    assert str(config_value(config, name)) == value
    assert str(config_value(resolved(f"{name}={value}", *extra), other)) == value
    assert resolved(f"{other}={value}", f"{name}={value}", *extra) == config
    with pytest.raises(ConfigErrors, match="contradicts"):
        resolved(f"{other}={value}", f"{name}={another}", *extra)


def test_lr_is_found_wrong_under_the_name_it_was_given(resolved: Resolver) -> None:
    with pytest.raises(ConfigErrors, match=r"lr=0: optimizer\.params\.lr: 0 must be above 0"):
        resolved("lr=0")


def test_pipe_0_and_1_mean_the_same(resolved: Resolver) -> None:
    for size in (0, 1):
        parallel = resolved(f"pipe_parallel_size={size}", ranks=4).parallel
        assert (parallel.data_parallel_size, parallel.is_pipe_parallel) == (4, False)
    assert resolved("pipe_parallel_size=2", ranks=4).parallel.data_parallel_size == 2


def test_ranks_divide_into_copies(resolved: Resolver) -> None:
    parallel = resolved("pipe_parallel_size=2", "model_parallel_size=2", ranks=12).parallel
    assert (parallel.world_size, parallel.data_parallel_size) == (12, 3)
    with pytest.raises(ConfigErrors, match="use 4 or 8 ranks"):
        resolved("pipe_parallel_size=2", "model_parallel_size=2", ranks=6)
    with pytest.raises(ConfigErrors, match="use 4 ranks"):
        resolved("pipe_parallel_size=4", ranks=2)
    assert resolved("global_num_gpus=8", ranks=None).parallel.data_parallel_size == 8
    with pytest.raises(ConfigErrors, match="contradicts the job's 4 ranks"):
        resolved("global_num_gpus=8", ranks=4)


def test_the_decay_ends_with_training_unless_told(resolved: Resolver) -> None:
    assert resolved().schedule.lr_decay_iters == 100
    assert resolved("lr_decay_iters=50").schedule.lr_decay_iters == 50
    assert resolved("lr_decay_fraction=0.9").schedule.lr_decay_iters == 90
    with pytest.raises(ConfigErrors, match="contradicts lr_decay_fraction x train_iters = 90"):
        resolved("lr_decay_fraction=0.9", "lr_decay_iters=50")


def test_the_vocabulary_is_padded_for_every_tensor_rank(resolved: Resolver) -> None:
    assert resolved("vocab_size=50277").tokenizer.padded_vocab_size == 50_304
    two = resolved("vocab_size=50277", "model_parallel_size=2", ranks=2)
    assert two.tokenizer.padded_vocab_size == 50_432
    exact = resolved("vocab_size=50277", "make_vocab_size_divisible_by=1")
    assert exact.tokenizer.padded_vocab_size == 50_277


def test_every_value_knows_where_it_comes_from(resolved: Resolver, small: Path) -> None:
    config = resolved("zero_optimization={stage: 1}")
    assert origin_of(config, "num_layers").text == f"{small}:1"
    assert origin_of(config, "zero_optimization.stage").text == "zero_optimization={stage: 1}"
    assert origin_of(config, "intermediate_size").text == "rule: 4 x hidden_size"
    assert origin_of(config, "seed").text == "default"


def test_equal_weights_where_none_are_given(resolved: Resolver) -> None:
    sets = [f"{kind}_data_paths=[a, b]" for kind in ("train", "valid", "test")]
    assert resolved(*sets).data.train_data_weights == (1.0, 1.0)
    given = resolved(*sets, "train_data_weights=[1, 3]").data.train_data_weights
    assert given == (1.0, 3.0)


def test_rwkv_widths(resolved: Resolver) -> None:
    recurrent = resolved('attention_config=[[["rwkv"], "all"]]').recurrent
    assert (recurrent.dim_att, recurrent.head_size, recurrent.ffn_dim) == (64, 16, 224)
    assert resolved().recurrent.dim_att is None
