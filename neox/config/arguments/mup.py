"""Maximal-update parametrisation: hyperparameters that carry over from a small width."""

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_MUP = "muP is not built yet"


@frozen
class Mup(Frozen):
    """muP's arguments."""

    use_mup: bool = argument(False, "Train with muP.", not_yet=_MUP)
    coord_check: bool = argument(False, "Check muP's coordinates and stop.", not_yet=_MUP)
    save_base_shapes: bool = argument(False, "Write the base shapes and stop.", not_yet=_MUP)
    base_shapes_file: str | None = argument(None, "File of the base shapes.", not_yet=_MUP)
    mup_init_scale: float = argument(1.0, "Multiplies the initial weights.", not_yet=_MUP)
    mup_attn_temp: float = argument(1.0, "Attention temperature.", status="unread")
    mup_output_temp: float = argument(1.0, "Output temperature.", status="unread")
    mup_embedding_mult: float = argument(1.0, "Multiplies the embedding's output.", not_yet=_MUP)
    mup_rp_embedding_mult: float = argument(
        1.0, "Multiplies the position embedding's output.", not_yet=_MUP
    )
    mup_width_scale: int = argument(2, "Width of the comparison model.", not_yet=_MUP)
