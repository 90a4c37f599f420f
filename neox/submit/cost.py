"""What a link costs at most, in the site's own unit."""

from neox.sites.profile import Cost
from neox.submit.plan import CostEstimate


def cost_of(cost: Cost, nodes: int, seconds: int) -> CostEstimate:
    """Nodes x hours x the site's rate; a link that ends early costs less."""
    hours = seconds / 3600
    rate = "" if cost.per_node_hour == 1 else f" x {cost.per_node_hour:g}"
    return CostEstimate(
        amount=nodes * hours * cost.per_node_hour,
        unit=cost.unit,
        formula=f"{nodes} node{'' if nodes == 1 else 's'} x {hours:.2f} h{rate}",
    )
