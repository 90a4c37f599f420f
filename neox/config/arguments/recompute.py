"""Trading time for memory: activations computed again in the backward pass."""

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_SHARED = "saved activations stay whole on their GPU"
_TORCH = "the engine recomputes with torch's own checkpointing"


@frozen
class ActivationCheckpointing(Frozen):
    """DeepSpeed's activation_checkpointing section."""

    partition_activations: bool = argument(False, "Share saved activations over tensor ranks.")
    cpu_checkpointing: bool = argument(False, "Keep them in host memory.")
    contiguous_memory_optimization: bool = argument(False, "Keep them in one buffer.")
    number_checkpoints: int | None = argument(None, "How many fit into that buffer.")
    synchronize_checkpoint_boundary: bool = argument(False, "Wait for the device at each layer.")
    profile: bool = argument(False, "Time them.")


@frozen
class Recompute(Frozen):
    """What is computed twice."""

    checkpoint_activations: bool = argument(
        False, "Keep each layer's input alone and compute the rest again."
    )
    checkpoint_num_layers: int = argument(1, "Layers between kept inputs.", unit="layers")
    partition_activations: bool = argument(
        False,
        "Share kept inputs over tensor ranks; nothing to share with one.",
        status="chosen",
        note=_SHARED,
    )
    checkpoint_in_cpu: bool = argument(
        False, "Keep them in host memory.", not_yet="kept inputs stay on the GPU"
    )
    contiguous_checkpointing: bool = argument(
        False, "Keep them in one buffer.", status="chosen", note=_TORCH
    )
    synchronize_each_layer: bool = argument(
        False, "Wait for the device at each layer.", status="chosen", note=_TORCH
    )
    profile_backward: bool = argument(
        False, "Time the recomputation.", status="chosen", note=_TORCH
    )
    deepspeed_activation_checkpointing: bool = argument(
        True, "Recompute with DeepSpeed's functions.", status="chosen", note=_TORCH
    )
    activation_checkpointing: ActivationCheckpointing | None = argument(
        None, "DeepSpeed's section of the same.", status="chosen", note=_TORCH
    )
