"""Cost in the site's own unit."""

import pytest

from tests.submit.askings import ask, plan


@pytest.mark.parametrize(
    ("where", "amount", "unit", "formula"),
    [
        ("frontier", 24.0, "node-hours", "12 nodes x 2.00 h"),
        ("lumi", 96.0, "GPU-hours", "12 nodes x 2.00 h x 4"),  # four MI250X in a node
    ],
)
def test_two_hours_on_twelve_nodes(where: str, amount: float, unit: str, formula: str) -> None:
    cost = plan(ask(where), nodes=12, seconds=7200).cost
    assert (cost.amount, cost.unit, cost.formula) == (amount, unit, formula)
