"""The shipped configs say what was trained."""

from pathlib import Path

import pytest

from neox.config.derive import resolve
from neox.config.load import load, missing_files
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.rglob("*.yml"))

# layers, hidden, heads, peak lr, micro-batch, tensor ranks: EleutherAI/gpt-neox at ea7aefd8
SIZES = {
    "20B": (44, 6144, 64, 0.97e-4, 4, 2),
    "125M": (12, 768, 12, 6e-4, 4, 1),
    "350M": (24, 1024, 16, 3e-4, 4, 1),
    "760M": (24, 1536, 16, 2.5e-4, 4, 1),
    "1-3B": (24, 2048, 16, 2e-4, 4, 1),
    "2-7B": (32, 2560, 32, 1.6e-4, 4, 1),
    "6-7B": (32, 4096, 32, 1.2e-4, 4, 1),
    "13B": (40, 5120, 40, 1e-4, 4, 1),
    "pythia/14M": (6, 128, 4, 1e-3, 32, 1),
    "pythia/31M": (6, 256, 8, 1e-3, 32, 1),
    "pythia/70M": (6, 512, 8, 1e-3, 32, 1),
    "pythia/160M": (12, 768, 12, 6e-4, 32, 1),
    "pythia/410M": (24, 1024, 16, 3e-4, 32, 1),
    "pythia/1B": (16, 2048, 8, 2.5e-4, 4, 1),
    "pythia/1-4B": (24, 2048, 16, 2e-4, 16, 1),
    "pythia/2-8B": (32, 2560, 32, 1.6e-4, 8, 1),
    "pythia/6-9B": (32, 4096, 32, 1.2e-4, 8, 2),
    "pythia/12B": (36, 5120, 40, 1.2e-4, 8, 4),
}
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


def shipped(name: str, ranks: int | None = None) -> RunConfig:
    return resolve(load([CONFIGS / f"{name}.yml"]), ranks)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_resolves_without_a_warning(path: Path) -> None:
    given = load([path])
    assert given.warnings == ()
    assert missing_files(given) == ()
    config = resolve(given, None)
    assert model_spec(config).num_layers == config.model.num_layers


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    config = shipped(name)
    layers, hidden, heads, lr, micro, tensor = SIZES[name]
    model = config.model
    assert (model.num_layers, model.hidden_size, model.num_attention_heads) == (
        layers,
        hidden,
        heads,
    )
    assert config.optimizer.lr == pytest.approx(lr)
    assert config.schedule.min_lr == pytest.approx(lr / 10)
    assert config.batch.train_micro_batch_size_per_gpu == micro
    assert config.parallel.model_parallel_size == tensor
    assert config.model.seq_length == 2048


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
    ("name", "batch"), [("20B", 1536), *((n, 1024) for n in SIZES if "/" in n)]
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
