"""How long a link is, when the signal comes, and when a link is too short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neox.submit.walltime import Pace, lead, save_interval_warning, shortest, startup
from tests.submit.askings import ask, plan, refused

PACES = st.builds(Pace, step_seconds=st.floats(0, 600), save_seconds=st.floats(0, 900))


def test_lead_is_two_saves_two_steps_and_ninety_seconds() -> None:
    assert lead(24 * 3600, Pace(step_seconds=58, save_seconds=200)) == 2 * 200 + 2 * 58 + 90
    assert lead(24 * 3600, Pace()) == 300


@pytest.mark.parametrize(("seconds", "expected"), [(60, 15), (600, 150), (1200, 300), (7200, 300)])
def test_lead_leaves_three_quarters_of_a_short_link(seconds: int, expected: int) -> None:
    assert lead(seconds, Pace()) == expected


@given(st.integers(1, 10_000), PACES)
def test_the_shortest_link_holds_start_ten_steps_and_its_lead(nodes: int, pace: Pace) -> None:
    seconds = shortest(nodes, pace)
    assert seconds % 60 == 0
    assert seconds - lead(seconds, pace) >= startup(nodes) + 10 * pace.step_seconds - 1


@given(st.integers(1, 10_000), PACES)
def test_a_minute_less_would_not(nodes: int, pace: Pace) -> None:
    less = shortest(nodes, pace) - 60
    if less > 0:
        assert less - lead(less, pace) < startup(nodes) + 10 * pace.step_seconds + 1


@pytest.mark.parametrize("where", ["local", "slurm"])
def test_a_minute_is_enough_for_a_small_run(where: str) -> None:
    made = plan(ask(where, "pythia/14M"), seconds=60)
    assert (made.seconds, made.lead_seconds) == (60, 15)


def test_too_short_says_how_long_or_how_many() -> None:
    text = refused(ask("frontier"), nodes=2)
    # two nodes: 346 s a step, ten of which take an hour
    assert "10 steps of 346 s" in text
    assert "use --time 1:" in text
    assert "--nodes 3" in text


def test_a_default_is_the_queues_own_and_never_its_maximum() -> None:
    assert plan(ask("frontier"), nodes=12).seconds == 3600
    assert plan(ask("lumi"), nodes=12).seconds == 7200


def test_rare_saves_are_told_with_a_value_that_would_do() -> None:
    text = save_interval_warning(500, 7200, Pace(step_seconds=58))
    assert text is not None
    assert "checkpoint_factor=41 would not" in text
    assert save_interval_warning(41, 7200, Pace(step_seconds=58)) is None
    assert save_interval_warning(500, 7200, Pace()) is None
