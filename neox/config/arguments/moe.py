"""Mixture of experts."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_MOE = "mixture of experts is not built yet, and estimates count one expert"


@frozen
class Moe(Frozen):
    """Experts and their router."""

    moe_num_experts: int = argument(1, "Experts of a layer; 1 is a dense model.", not_yet=_MOE)
    moe_expert_interval: int = argument(1, "Every how many layers have experts.", not_yet=_MOE)
    moe_top_k: int = argument(1, "Experts that see a token.", not_yet=_MOE)
    moe_router_type: Literal["sinkhorn", "topk"] = argument(
        "sinkhorn", "How tokens find their experts.", not_yet=_MOE
    )
    moe_lbl_in_fp32: bool = argument(False, "Load-balancing loss in fp32.", status="unread")
    moe_jitter_eps: float | None = argument(
        None, "Width of the noise on the router's input.", not_yet=_MOE
    )
