"""Mamba and RWKV layers."""

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_MAMBA = "Mamba layers are not built yet"
_RWKV = "RWKV layers are not built yet"


@frozen
class Recurrent(Frozen):
    """Mamba's and RWKV's arguments."""

    mamba_selective_scan_fusion: bool = argument(False, "Fused selective scan.", not_yet=_MAMBA)
    mamba_causal_conv_fusion: bool = argument(False, "Fused causal convolution.", not_yet=_MAMBA)
    mamba_inner_func_fusion: bool = argument(
        False, "The whole block in one kernel.", not_yet=_MAMBA
    )
    mamba_selective_fp32_params: bool = argument(True, "Keep A_log and D in fp32.", not_yet=_MAMBA)
    mamba_use_bias_in_conv: bool = argument(True, "Bias in the convolution.", not_yet=_MAMBA)
    mamba_use_bias_in_linears: bool = argument(False, "Biases in the projections.", not_yet=_MAMBA)
    dim_att: int | None = argument(None, "Width of RWKV's time mixing.", not_yet=_RWKV)
    head_size: int | None = argument(
        None,
        "Width of an RWKV head.",
        status="derived",
        note="dim_att / num_attention_heads",
        not_yet=_RWKV,
    )
    ffn_dim: int | None = argument(
        None,
        "Width of RWKV's channel mixing.",
        status="derived",
        note="3.5 x dim_att, rounded down to a multiple of 32",
        not_yet=_RWKV,
    )
