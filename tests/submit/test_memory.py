"""The memory estimate against peaks measured on an H200, and what is advised where it is too much.

The peaks are torch 2.11's `max_memory_allocated` in tests/bench/bench_memory.py.
"""

import re
from dataclasses import replace

import pytest

from neox.config.spec import model_spec
from neox.models.count import parameters
from neox.submit.communication import communication
from neox.submit.memory import fullest, stage_parameters, stages
from neox.submit.plan import Geometry
from tests.bench.bench_memory import Case, estimate
from tests.submit.askings import ask, plan, site

MEASURED = (
    (Case(config="pythia/70M", precision="bf16", micro_batch=8), 4.89),
    (Case(config="pythia/70M", precision="fp32", micro_batch=8), 6.21),
    (Case(config="pythia/160M", precision="fp16", micro_batch=8), 9.24),
    (Case(config="pythia/160M", precision="fp32", micro_batch=8), 13.47),
    (Case(config="pythia/160M", precision="bf16", micro_batch=1, accumulation=4), 4.43),
    (Case(config="pythia/70M", precision="bf16", micro_batch=32, recompute=1), 4.09),
    (Case(config="pythia/160M", precision="bf16", micro_batch=32, recompute=1), 6.37),
    (Case(config="pythia/410M", precision="bf16", micro_batch=4), 13.29),
    (Case(config="pythia/410M", precision="bf16", micro_batch=16, recompute=1), 9.93),
)


@pytest.mark.parametrize(("case", "gigabytes"), MEASURED)
def test_the_estimate_is_what_was_measured(case: Case, gigabytes: float) -> None:
    assert estimate(case).total / 1e9 == pytest.approx(gigabytes, rel=0.05)


def test_stages_hold_the_whole_model() -> None:
    made = plan(ask("frontier"), nodes=12)
    spec = model_spec(made.config)
    for tensor, pipeline in ((1, 1), (1, 4), (1, 5)):
        cut = Geometry(pipeline=pipeline, tensor=tensor, data=1, micro_batch=1, accumulation=1)
        held = sum(stage_parameters(spec, cut, stage) for stage in range(pipeline))
        assert held == parameters(spec).total


def test_data_ranks_share_masters_and_moments() -> None:
    small = plan(ask("lumi", "pythia/1B"), nodes=1)
    large = plan(ask("lumi", "pythia/1B"), nodes=4)
    assert small.geometry is not None
    assert large.geometry is not None
    one = fullest(stages(small.config, model_spec(small.config), small.geometry))
    four = fullest(stages(large.config, model_spec(large.config), large.geometry))
    assert four.optimizer == pytest.approx(one.optimizer / 4)
    assert four.weights == one.weights


def test_too_much_is_told_with_a_setting_that_fits() -> None:
    batch = "train_batch_size=4096"
    request = ask("lumi", "pythia/1B", overrides=(batch, "train_micro_batch_size_per_gpu=512"))
    made = plan(request, nodes=1)
    told = [w for w in made.warnings if w.startswith("memory:")]
    assert told
    better = re.search(r"; ((?:\w+=\w+ ?)+) would fit", told[0])
    assert better, told[0]
    mended = plan(replace(request, overrides=(batch, *better[1].split())), nodes=1)
    assert not [w for w in mended.warnings if w.startswith("memory:")]


def test_nothing_is_advised_where_no_micro_batch_fits() -> None:
    made = plan(ask("summit"), nodes=16)
    assert [w for w in made.warnings if "no micro batch fits" in w]


def test_ring_bytes_within_a_node_and_over_the_fabric() -> None:
    made = plan(ask("lumi", "pythia/1B"), nodes=1)
    assert made.geometry is not None
    spec = model_spec(made.config)
    one = communication(made.config, spec, made.geometry, 8)
    # 8 ranks: an all-reduce of fp32 gradients and a gather of fp16 weights
    assert one.node == pytest.approx((2 * 4 + 2) * 7 / 8 * parameters(spec).total)
    assert one.fabric == 0
    four = communication(made.config, spec, replace(made.geometry, data=32), 8)
    assert four.node == one.node
    assert four.fabric == pytest.approx((2 * 4 + 2) * 3 / 4 / 8 * parameters(spec).total)
    lone = communication(made.config, spec, replace(made.geometry, data=1), 8)
    assert lone.node == lone.fabric == 0
    assert site("lumi").network.gb_per_second_per_node
    assert four.fabric_seconds(8, 100) == pytest.approx(four.fabric * 8 / 100e9)
    assert four.fabric_seconds(8, None) is None
