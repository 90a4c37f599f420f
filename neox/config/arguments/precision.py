"""Number formats and loss scaling."""

from typing import Literal

from neox.config.arguments.argument import Switched, argument
from neox.frozen import Frozen, frozen

Dtype = Literal["fp32", "fp16", "bf16"]
_SPELLINGS = (
    ("float32", "fp32"),
    ("float16", "fp16"),
    ("half", "fp16"),
    ("bfloat16", "bf16"),
)
_MASTERS = "main weights and optimizer state are always fp32"
_DTYPES = "the engine keeps DeepSpeed's own dtypes"


@frozen
class Fp16(Switched):
    """DeepSpeed's fp16 section."""

    enabled: bool = argument(False, "Train in fp16.")
    loss_scale: float = argument(0.0, "Fixed loss scale; 0 is a dynamic one.")
    initial_scale_power: int = argument(16, "The dynamic scale starts at 2 to this power.")
    loss_scale_window: int = argument(
        1000, "Steps without overflow before the scale doubles.", unit="steps"
    )
    hysteresis: int = argument(2, "Overflows before the scale is halved.")
    consecutive_hysteresis: bool = argument(
        False, "Refill the hysteresis after a step without overflow."
    )
    min_loss_scale: float = argument(1.0, "The scale does not fall below.")
    auto_cast: bool = argument(False, "Cast the inputs, too.", status="unread")
    fp16_master_weights_and_grads: bool = argument(
        False, "Keep the main weights in fp16, too.", not_yet=_MASTERS
    )
    fp16: bool = argument(False, "Copied from older configs; `enabled` decides.", status="unread")
    type: str | None = argument(
        None, "Copied from older configs; `enabled` decides.", status="unread"
    )


@frozen
class Bf16(Switched):
    """DeepSpeed's bf16 section."""

    enabled: bool = argument(False, "Train in bfloat16.")
    immediate_grad_update: bool = argument(
        False, "Add gradients to the fp32 copy as they come.", status="unread"
    )
    check_grad_overflow: bool = argument(True, "Look for overflow in gradients.", status="unread")
    bf16_master_weights_and_grads: bool = argument(
        False, "Keep the main weights in bfloat16, too.", not_yet=_MASTERS
    )
    bf16_optimizer_states: bool = argument(
        False, "Keep the optimizer's state in bfloat16.", not_yet=_MASTERS
    )
    type: str | None = argument(None, "Copied from older configs.", status="unread")
    loss_scale: float = argument(0.0, "Copied from fp16; bfloat16 has none.", status="unread")


@frozen
class Amp(Switched):
    """NVIDIA's automatic mixed precision."""

    enabled: bool = argument(False, "Use AMP.")
    opt_level: str = argument("O1", "AMP's level.")


@frozen
class DataTypes(Frozen):
    """DeepSpeed's data_types section."""

    grad_accum_dtype: Dtype | None = argument(
        None,
        "Format in which gradients accumulate.",
        also=_SPELLINGS,
        not_yet="gradients accumulate in fp32",
        built=(None, "fp32"),
    )
    param_dtype: Dtype | None = argument(
        None, "Format of weights.", also=_SPELLINGS, not_yet=_DTYPES
    )
    buffer_dtype: Dtype | None = argument(
        None, "Format of buffers.", also=_SPELLINGS, not_yet=_DTYPES
    )


@frozen
class Precision(Frozen):
    """One format for the run, and what goes with it."""

    precision: Literal["fp16", "fp32", "bfloat16"] | None = argument(
        None,
        "Format of weights and activations. Default: what fp16 or bf16 switch on, else fp32.",
        also=(
            ("bf16", "bfloat16"),
            ("float16", "fp16"),
            ("half", "fp16"),
            ("float32", "fp32"),
            ("float", "fp32"),
        ),
    )
    fp16: Fp16 = argument(Fp16(), "fp16 and its loss scale.")
    bf16: Bf16 = argument(Bf16(), "bfloat16.")
    amp: Amp | None = argument(None, "NVIDIA AMP.", not_yet="AMP is not built; use fp16 or bf16")
    data_types: DataTypes = argument(DataTypes(), "Formats of gradients, weights and buffers.")
    fp16_lm_cross_entropy: bool = argument(
        False, "Compute the loss in fp16.", not_yet="the loss is computed in fp32"
    )
    fp32_allreduce: bool = argument(
        False,
        "Reduce gradients over ranks in fp32.",
        not_yet="gradients are reduced in the engine's own format",
    )
    communication_data_type: Dtype | None = argument(
        None,
        "Format in which gradients travel.",
        also=_SPELLINGS,
        not_yet="gradients are reduced in the engine's own format",
    )
    prescale_gradients: bool = argument(
        False, "Divide gradients before the reduction.", not_yet="prescaling is not built"
    )
    gradient_predivide_factor: float = argument(
        1.0, "What to divide by before the reduction.", not_yet="prescaling is not built"
    )
    sparse_gradients: bool = argument(
        False, "Send embedding gradients sparsely.", not_yet="sparse gradients are not built"
    )
    loss_scale: float | None = argument(
        None, "Fixed loss scale.", status="derived", note="fp16.loss_scale, where it is not 0"
    )
    dynamic_loss_scale: bool | None = argument(
        None, "Is the loss scale dynamic?", status="derived", note="fp16.loss_scale is 0"
    )
    hysteresis: int = argument(2, "Read from fp16.hysteresis alone.", status="unread")
    loss_scale_window: float = argument(
        1000.0, "Read from fp16.loss_scale_window alone.", status="unread"
    )
    min_scale: float = argument(1.0, "Read from fp16.min_loss_scale alone.", status="unread")
