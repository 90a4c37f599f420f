"""Learning from preferences and rewards."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_DPO = "DPO is not built yet"
_KTO = "KTO is not built yet"
_RM = "reward models are not built yet"
_RL = "REINFORCE is not built yet"
_SERVER = "serving weights is not built yet"


@frozen
class Preference(Frozen):
    """DPO, KTO, reward models and REINFORCE."""

    dpo_beta: float = argument(0.1, "DPO's temperature.", not_yet=_DPO)
    dpo_fp32: bool = argument(True, "DPO's loss in fp32.", not_yet=_DPO)
    dpo_reference_free: bool = argument(False, "DPO without a reference model.", not_yet=_DPO)
    kto_beta: float = argument(0.1, "KTO's temperature.", not_yet=_KTO)
    kto_fp32: bool = argument(True, "KTO's loss in fp32.", not_yet=_KTO)
    kto_desirable_weight: float = argument(1.0, "Weight of good answers.", not_yet=_KTO)
    kto_undesirable_weight: float = argument(1.0, "Weight of bad answers.", not_yet=_KTO)
    z_loss: float = argument(0.0, "Penalty on the square of a reward.", not_yet=_RM)
    fp32_reinforce: bool = argument(True, "REINFORCE's loss in fp32.", not_yet=_RL)
    kl_impl: Literal["abs", "mse", "kl", "full"] = argument(
        "mse", "How the divergence from the reference is estimated.", not_yet=_RL
    )
    kl_div_beta: float = argument(0.1, "Its weight.", not_yet=_RL)
    reinforce_leave_one_out: bool = argument(
        False, "Compare each answer to the mean of the others.", not_yet=_RL
    )
    serve_model_weights: bool = argument(
        False, "Let another program read the weights.", not_yet=_SERVER
    )
    weight_server_port: int | tuple[int, ...] = argument(6000, "Its port.", status="unread")
