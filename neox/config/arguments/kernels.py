"""Which kernels compute the model. None of these changes what is computed, but fp8."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_CHOSEN = "the engine chooses its kernels; the result is the same"
_FP8 = "by PyTorch's own fp8 products, on GPUs that have them (Hopper and later)."
_NO_HISTORY = "the scale is that of the tensor itself, without a history"


@frozen
class Kernels(Frozen):
    """Switches of fused kernels and of TransformerEngine."""

    scaled_upper_triang_masked_softmax_fusion: bool = argument(
        False, "Fused causal softmax.", status="chosen", note=_CHOSEN
    )
    scaled_masked_softmax_fusion: bool = argument(
        False, "Fused softmax under any mask.", status="chosen", note=_CHOSEN
    )
    bias_dropout_fusion: bool = argument(
        False, "Fused bias, dropout and residual.", status="chosen", note=_CHOSEN
    )
    layernorm_fusion: bool = argument(False, "Fused LayerNorm.", status="chosen", note=_CHOSEN)
    rmsnorm_fusion: bool = argument(False, "Fused RMSNorm.", status="chosen", note=_CHOSEN)
    rope_fusion: bool = argument(False, "Fused rotary embedding.", status="chosen", note=_CHOSEN)
    use_flashattn_swiglu: bool = argument(
        False, "SwiGLU by flash-attn's kernel.", status="chosen", note=_CHOSEN
    )
    fused_kernels_build_path: str | None = argument(
        None,
        "Where `neox kernels build` keeps what it built; no rank compiles. "
        "Default: ~/.cache/neox/kernels.",
    )
    te_columnparallel: bool = argument(
        False, f"Query, key, value and the first feed-forward product in fp8, {_FP8}"
    )
    te_rowparallel: bool = argument(
        False, f"Attention's output and the second feed-forward product in fp8, {_FP8}"
    )
    te_layernorm_mlp: bool = argument(False, f"Both feed-forward products in fp8, {_FP8}")
    te_mha: bool = argument(False, f"Both products around attention in fp8, {_FP8}")
    te_fp8_format: Literal["e4m3", "hybrid"] = argument(
        "hybrid", "fp8 number format; hybrid: gradients in e5m2."
    )
    te_fp8_wgrad: bool = argument(True, "Weight gradients in fp8.")
    te_fp8_amax_history_len: int = argument(
        1, "Steps whose largest value sets the fp8 scale.", unit="steps", not_yet=_NO_HISTORY
    )
    te_fp8_amax_compute_algo: Literal["max", "most_recent"] = argument(
        "most_recent",
        "How that history becomes one value.",
        status="chosen",
        note="the scale is that of the tensor itself",
    )
    te_fp8_margin: int = argument(0, "Margin of the fp8 scale.", status="unread")
    te_fp8_mha: bool = argument(
        False, "Attention in fp8.", not_yet="only linear layers are computed in fp8"
    )
