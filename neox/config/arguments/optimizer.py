"""What updates the weights."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

OptimizerType = Literal[
    "Adam",
    "AdamW",
    "OneBitAdam",
    "CPU_Adam",
    "CPU_Torch_Adam",
    "SM3",
    "madgrad_wd",
    "SGD",
    "Lion",
]
_NOT_ADAM = "only Adam, AdamW and SGD are built"
_MOMENTUM = "momentum is not built"
_ONEBIT = "1-bit Adam is not built"


@frozen
class OptimizerParams(Frozen):
    """Numbers of the optimizer; each kind reads its own."""

    lr: float = argument(0.001, "Peak learning rate.")
    betas: tuple[float, float] = argument(
        (0.9, 0.999), "Decay of the mean and of the squared mean of gradients."
    )
    eps: float = argument(1e-8, "Added to the root of the squared mean.")
    weight_decay: float | None = argument(
        None,
        "The same as the argument weight_decay; give one.",
        status="derived",
        note="weight_decay",
    )
    adam_w_mode: bool = argument(
        True,
        "Decay weights beside the gradient (AdamW); false adds the decay to the gradient.",
    )
    bias_correction: bool = argument(
        True, "Correct the first steps' means.", not_yet="Adam without correction is not built"
    )
    amsgrad: bool = argument(False, "AMSGrad's variant.", not_yet="AMSGrad is not built")
    momentum: float = argument(0.0, "Momentum of SGD, SM3 and madgrad.", not_yet=_MOMENTUM)
    beta: float = argument(0.0, "Averaging of SM3.", not_yet=_NOT_ADAM)
    adamw_mode: bool = argument(
        True, "What CPU_Adam calls adam_w_mode.", not_yet="Adam in host memory is not built"
    )
    fp32_optimizer_states: bool = argument(
        True, "State of CPU_Adam in fp32.", not_yet="Adam in host memory is not built"
    )
    set_grad_none: bool = argument(
        True,
        "Drop gradients after the step.",
        status="chosen",
        note="gradients are dropped as soon as they are used",
    )
    dampening: float = argument(0.0, "Dampening of SGD's momentum.", not_yet=_MOMENTUM)
    nesterov: bool = argument(False, "Nesterov's form of momentum.", not_yet=_MOMENTUM)
    freeze_step: int = argument(
        400, "Steps of full precision before 1-bit Adam compresses.", unit="steps", not_yet=_ONEBIT
    )
    cuda_aware: bool = argument(False, "MPI takes GPU memory.", not_yet=_ONEBIT)
    comm_backend_name: str = argument("nccl", "What 1-bit Adam talks over.", not_yet=_ONEBIT)


@frozen
class OptimizerSection(Frozen):
    """The optimizer with DeepSpeed's keys."""

    type: OptimizerType = argument(
        "Adam",
        "Which optimizer. Adam decays weights as AdamW does, as it did in GPT-NeoX.",
        not_yet=_NOT_ADAM,
        built=("Adam", "AdamW", "SGD"),
    )
    params: OptimizerParams = argument(OptimizerParams(), "Its numbers.")


@frozen
class Optimizer(Frozen):
    """The optimizer, decay, clipping and the loss's average."""

    optimizer: OptimizerSection = argument(OptimizerSection(), "Type and params.")
    optimizer_type: OptimizerType | None = argument(
        None, "The optimizer's type.", status="derived", note="optimizer.type"
    )
    lr: float | None = argument(
        None, "Peak learning rate.", status="derived", note="optimizer.params.lr"
    )
    weight_decay: float = argument(0.1, "Decay of weights; biases and norms are spared.")
    gradient_clipping: float = argument(1.0, "Largest norm of the whole gradient; 0 does not clip.")
    clip_grad: float | None = argument(
        None, "Another name of gradient_clipping.", status="derived", note="gradient_clipping"
    )
    use_bnb_optimizer: bool = argument(
        False, "8-bit Adam of bitsandbytes.", not_yet="8-bit Adam is not built"
    )
    loss_reduction: Literal["global", "micro"] = argument(
        "global",
        "Divide the loss by all counted tokens of the step (global), or average the "
        "micro-batches' means as GPT-NeoX did (micro).",
        not_yet="the mean of micro-batch means is not built",
    )
