"""Schedules, optimizer groups, loss scale, partitions, save rule: the small pieces."""

import math
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neox.parallel.mesh import single_process
from neox.run.failure import BadNumbers
from neox.train.host_copy import HostCopy
from neox.train.ledger import Ledger, Pending
from neox.train.loss_scale import LossScale, LossScaleSpec
from neox.train.native import NativeEngine
from neox.train.optimizers import OptimizerSpec, decay_groups
from neox.train.partitions import even_cut, partition
from neox.train.saving import SaveRule
from neox.train.schedules import DecayStyle, Schedule, learning_rate
from neox.train.step import StepResult
from tests.train.small_model import global_batch, small_model, trainee


def schedule(style: DecayStyle, warmup: float = 0.1, minimum: float = 0.1) -> Schedule:
    return Schedule(style=style, peak=1.0, minimum=minimum, warmup=warmup, horizon=100)


@pytest.mark.parametrize("style", ["constant", "linear", "cosine", "exponential"])
def test_warmup_rises_in_a_line_to_the_peak(style: DecayStyle) -> None:
    """From far below the minimum: GPT-NeoX holds that after warm-up alone."""
    rates = [learning_rate(schedule(style, minimum=0.55), n) for n in range(11)]
    assert rates == [max(1, n) / 10 for n in range(11)]


def test_decay_as_gpt_neox_has_it() -> None:
    # n = 55: k = 45 of D = 90
    assert learning_rate(schedule("linear"), 55) == pytest.approx(0.5)
    assert learning_rate(schedule("cosine"), 55) == pytest.approx(0.1 + 0.45)
    expected = math.exp(-0.693 * 45 / 90)
    assert learning_rate(schedule("exponential"), 55) == pytest.approx(expected)
    assert learning_rate(schedule("constant"), 55) == 1.0


def test_cosine_does_not_rise_again_after_the_horizon() -> None:
    assert learning_rate(schedule("cosine"), 150) == pytest.approx(0.1)
    assert learning_rate(schedule("linear"), 150) == pytest.approx(0.1)


def test_without_warmup_the_first_rate_is_the_peak() -> None:
    assert learning_rate(schedule("linear", warmup=0.0), 0) == 1.0


def test_biases_and_norms_are_not_decayed() -> None:
    named = list(small_model().named_parameters())
    decayed, spared = decay_groups(named, 0.1)
    names = {id(p): name for name, p in named}
    assert {names[id(p)].rsplit(".", 1)[1] for p in decayed["params"]} == {"weight"}  # type: ignore[attr-defined]
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in spared["params"])  # type: ignore[attr-defined]
    assert len(decay_groups(named, 0.0)) == 1


def test_loss_scale_falls_after_the_hysteresis_and_rises_after_a_window() -> None:
    scale = LossScale(LossScaleSpec(initial_power=4, window=3, hysteresis=2))
    scale.update(overflow=True)
    assert scale.value == 16
    scale.update(overflow=True)
    assert scale.value == 8
    for _ in range(3):
        scale.update(overflow=False)
    assert scale.value == 16
    again = LossScale(LossScaleSpec(initial_power=4, window=3, hysteresis=2))
    again.restore(scale.state())
    assert again.state() == scale.state()


@given(st.integers(1, 60), st.integers(1, 7))
def test_even_cuts_cover_a_tensor_once(size: int, ranks: int) -> None:
    pieces = [even_cut("w", torch.empty(size), rank, ranks) for rank in range(ranks)]
    covered = [i for p in pieces for i in range(p.start, p.start + p.length)]
    assert covered == list(range(size))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_partitions_cover_every_parameter_once(sizes: list[int], ranks: int) -> None:
    width = -(-sum(sizes) // ranks)
    flat = torch.arange(width * ranks, dtype=torch.float32)
    at, named = 0, {}
    for number, size in enumerate(sizes):
        named[f"p{number}"] = flat[at : at + size]
        at += size
    masters = [flat[r * width : (r + 1) * width] for r in range(ranks)]
    found: dict[str, list[float]] = {name: [] for name in named}
    for rank, master in enumerate(masters):
        for piece in partition(flat, master, named, rank).pieces:
            assert piece.start == len(found[piece.name])
            window = master[piece.offset : piece.offset + piece.length]
            found[piece.name] += window.tolist()
    assert found == {name: values.tolist() for name, values in named.items()}


def test_save_rules() -> None:
    linear = SaveRule(scale="linear", factor=4, extra=frozenset({0, 3}))
    assert [n for n in range(13) if linear.saves_at(n)] == [0, 3, 4, 8, 12]
    log = SaveRule(scale="log", factor=2, extra=frozenset())
    assert [n for n in range(20) if log.saves_at(n)] == [1, 2, 4, 8, 16]
    assert not SaveRule(scale="linear", factor=None, extra=frozenset()).saves_at(10)


def poisoned() -> NativeEngine:
    return NativeEngine(
        trainee(),
        single_process(torch.device("cpu")),
        optimizer=OptimizerSpec(clip=1.0),
        precision="fp32",
    )


def test_a_bad_step_changes_no_weight_and_the_next_good_one_does() -> None:
    engine = poisoned()
    before = [f.data.clone() for f in engine.fragments()]
    bad = [
        type(b)(tokens=b.tokens, loss_mask=b.loss_mask * float("inf"), weight=b.weight)
        for b in global_batch(0)
    ]
    assert float(engine.step(bad, lr=1e-3, stop=False).bad) == 1
    assert all(torch.equal(f.data, b) for f, b in zip(engine.fragments(), before, strict=True))
    assert engine.state().optimizer_steps == 0
    assert float(engine.step(global_batch(0), lr=1e-3, stop=False).bad) == 0
    assert not all(torch.equal(f.data, b) for f, b in zip(engine.fragments(), before, strict=True))


class Arriving(HostCopy):
    """Numbers of a good step that are there at a given time."""

    def __init__(self, at: float) -> None:
        super().__init__(torch.zeros(4, dtype=torch.float64))
        self.arrived_at = at


def test_a_step_takes_from_the_end_of_the_one_before_and_a_save_is_no_part_of_it() -> None:
    watch = Mock()
    ledger = Ledger([watch], patience=3)
    # the second is launched while the first runs; then something takes until 8.0
    for began, end in ((0.0, 1.5), (0.1, 2.5), (8.0, 9.0)):
        ledger.add(
            Pending(
                step=1,
                numbers=Arriving(end),
                lr=1.0,
                loss_scale=1.0,
                tokens=3,
                began=began,
                data_seconds=0.0,
            )
        )
    ledger.settle(keep=0)
    records = [call.args[0] for call in watch.on_step.call_args_list]
    assert [record.seconds for record in records] == [1.5, 1.0, 1.0]
    assert [record.tokens_per_second for record in records] == [2.0, 3.0, 3.0]


def test_the_ledger_gives_up_after_bad_steps_in_a_row_only() -> None:
    def numbers(bad: bool) -> HostCopy:
        one = torch.ones((), dtype=torch.float64)
        result = StepResult(loss=one, grad_norm=one, bad=one * bad, stop=one * 0)
        return HostCopy(result.together())

    def add(ledger: Ledger, step: int, bad: bool) -> None:
        ledger.add(
            Pending(
                step=step,
                numbers=numbers(bad),
                lr=1.0,
                loss_scale=1.0,
                tokens=1,
                began=0.0,
                data_seconds=0.0,
            )
        )

    ledger = Ledger([], patience=3)
    for step, bad in enumerate([True, True, False, True, True]):
        add(ledger, step, bad)
    ledger.settle(keep=0)
    add(ledger, 5, True)
    with pytest.raises(BadNumbers, match="3 steps in a row"):
        ledger.settle(keep=0)
