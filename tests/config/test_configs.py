"""The shipped configs say what was trained."""

import pytest

from neox.config.derive import resolve
from neox.config.load import load, missing_files
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec

from .shipped import ALL, CONFIGS, PARTIAL, SHAPES, WHOLE

# parameters that Hugging Face's model cards state, embeddings included
PARAMETERS = {
    "20B": 20_556_201_984,
    "pythia/70M": 70_426_624,
    "pythia/160M": 162_322_944,
    "pythia/410M": 405_334_016,
    "pythia/1B": 1_011_781_632,
    "pythia/1-4B": 1_414_647_808,
    "pythia/2-8B": 2_775_208_960,
    "pythia/6-9B": 6_857_302_016,
    "pythia/12B": 11_846_072_320,
}


PYTHIA = tuple(name.removesuffix(".yml") for name in ALL if name.startswith("pythia/"))


def shipped(name: str, ranks: int | None = None) -> RunConfig:
    return resolve(load([CONFIGS / f"{name}.yml"]), ranks)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_config_resolves_without_a_warning(name: str) -> None:
    given = load([CONFIGS / name])
    assert given.warnings == ()
    assert missing_files(given) == ()
    config = resolve(given, None)
    assert model_spec(config).num_layers == config.model.num_layers


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_lacks_nothing_but_its_training(name: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        resolve(load([CONFIGS / name]), None)
    missing = {problem.message.partition(":")[0] for problem in caught.value.problems}
    assert missing == {"train_iters", "train_micro_batch_size_per_gpu"}
    config = resolve(load([CONFIGS / name, CONFIGS / "llama/train_config.yml"]), None)
    assert model_spec(config).num_layers == config.model.num_layers
    assert config.model.use_bias_in_mlp is False


@pytest.mark.parametrize("name", PARTIAL)
def test_a_partial_config_goes_behind_a_whole_one_and_not_alone(name: str) -> None:
    given = load([CONFIGS / name])
    assert given.warnings == ()
    with pytest.raises(ConfigErrors, match="not set; a model needs it"):
        resolve(given, None)
    before = "llama/7B.yml" if name == "llama/train_config.yml" else "125M.yml"
    assert resolve(load([CONFIGS / before, CONFIGS / name]), None).model.num_layers


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    spec = model_spec(shipped(name))
    hidden, ffn = spec.hidden_size, spec.ffn_size
    norms = 2 * 2 * hidden
    attention = 4 * hidden * hidden + 4 * hidden
    feed_forward = 2 * hidden * ffn + ffn + hidden
    layers = spec.num_layers * (norms + attention + feed_forward)
    count = layers + 2 * hidden + 2 * spec.vocab_size * hidden
    # the cards count the padding of the tensor ranks that the model was trained with
    published = PARAMETERS[name]
    rows = (count - published) / (2 * hidden)
    assert abs(rows) <= 384
    assert rows == int(rows)


@pytest.mark.parametrize(
    ("name", "batch"), [("20B", 1536), ("175B", 1536), *((n, 1024) for n in PYTHIA)]
)
def test_the_design_batch_is_pinned(name: str, batch: int) -> None:
    config = shipped(name)
    assert config.batch.train_batch_size == batch
    copy = max(1, config.parallel.pipe_parallel_size) * config.parallel.model_parallel_size
    for data_ranks in (4, 8, 16):
        again = shipped(name, ranks=copy * data_ranks)
        micro = again.batch.train_micro_batch_size_per_gpu
        steps = again.batch.gradient_accumulation_steps
        assert micro is not None
        assert steps is not None
        assert micro * steps * data_ranks == batch


def test_20b_on_96_gpus_as_it_was_trained() -> None:
    config = shipped("20B", ranks=96)
    assert config.parallel.data_parallel_size == 12
    assert config.batch.gradient_accumulation_steps == 32
    assert config.tokenizer.padded_vocab_size == 50_432
    assert (config.precision.precision, config.zero.zero_stage) == ("fp16", 1)
    assert config.optimizer.weight_decay == 0.01
    assert config.data.split == "995,4,1"


def test_pythia_saves_more_often_at_the_start() -> None:
    checkpoint = shipped("pythia/70M").checkpoint
    assert checkpoint.extra_save_iters == (0, *(2**n for n in range(10)))
    assert checkpoint.checkpoint_factor == 1000
