"""The person's yes: once for any submission, twice for a dear one (policy.confirm_node_hours).

`--yes` is typed by habit and by scripts, so for a dear submission it is not enough: it goes with
`--up-to NODE_HOURS`, a number that somebody has thought of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neox.submit.refusal import Refusal

if TYPE_CHECKING:
    from neox.submit.plan import Plan

YES = ("y", "yes")
Ask = Callable[[str], str]


class DearError(Refusal):
    """A submission that needs a second yes, and nobody there to give it."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a submission may cost, against what is agreed to without a second question."""

    site: str
    hours: float  # node-hours
    limit: float
    cost: str  # in the site's own unit: "96 GPU-hours"

    @property
    def is_dear(self) -> bool:
        return self.hours > self.limit


def node_hours(nodes: int, seconds: int, links: int) -> float:
    """What all links hold at most: the unit of policy.confirm_node_hours, on every site."""
    return nodes * seconds / 3600 * links


def spending(plans: "tuple[Plan, ...]", links: int | None = None) -> Spending:
    """Of all plans together; `links` of each, or as many as each asks for."""
    chains = [plan.chain if links is None else links for plan in plans]
    pairs = tuple(zip(plans, chains, strict=True))
    amount = sum(plan.cost.amount * chain for plan, chain in pairs)
    return Spending(
        site=plans[0].site.name,
        hours=sum(node_hours(plan.allocated_nodes, plan.seconds, chain) for plan, chain in pairs),
        limit=plans[0].site.policy.confirm_node_hours,
        cost=f"{amount:,.4g} {plans[0].cost.unit}",
    )


def check_up_to(spent: Spending, up_to: float | None, *, asks: bool) -> None:
    """Raise DearError where nobody will be asked and `--up-to` does not cover it."""
    if not spent.is_dear or asks or (up_to is not None and up_to >= spent.hours):
        return
    given = "" if up_to is None else f", and --up-to says {up_to:,.0f}"
    raise DearError(
        f"{spent.hours:,.0f} node-hours on {spent.site}{given}: above {spent.limit:,.0f} "
        "(policy.confirm_node_hours) one agrees twice; nothing was submitted. At a terminal leave "
        f"--yes out, or give --up-to {whole(spent.hours)}"
    )


def agreed_twice(spent: Spending, up_to: float | None, ask: Ask) -> bool:
    """The second question, where the submission is dear and `--up-to` does not cover it."""
    if not spent.is_dear or (up_to is not None and up_to >= spent.hours):
        return True
    number = whole(spent.hours)
    own = "" if spent.cost.endswith(" node-hours") else f" ({spent.cost})"
    answer = ask(
        f"That is {spent.hours:,.0f} node-hours{own}, above {spent.limit:,.0f} "
        f"(policy.confirm_node_hours). Type {number} to spend them: "
    )
    return answer.strip().replace(",", "") == number


def whole(hours: float) -> str:
    """Rounded up, so that what is typed covers it."""
    return str(-int(-hours // 1))
