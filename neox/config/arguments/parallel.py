"""How the model and the data are divided over ranks."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_SITE = "the job's ranks follow from the site and --nodes"


@frozen
class Parallel(Frozen):
    """Stages, tensor ranks and who takes the steps."""

    pipe_parallel_size: int = argument(
        0,
        "Pipeline stages; 0 and 1 both mean none.",
        not_yet="pipeline stages are not built yet",
        built=(0, 1),
    )
    model_parallel_size: int = argument(
        1,
        "Tensor-parallel ranks that share each layer.",
        not_yet="tensor parallelism is not built yet",
    )
    pipe_partition_method: str = argument(
        "type:transformer|mlp",
        "How layers are dealt to stages: parameters, uniform or type:REGEX.",
        not_yet="pipeline stages are not built yet",
    )
    sequence_parallel: bool = argument(
        False,
        "Cut norms and dropout along the sequence over the tensor ranks.",
        not_yet="sequence parallelism is not built yet",
    )
    is_pipe_parallel: bool = argument(
        False, "Are there several stages?", status="derived", note="pipe_parallel_size > 1"
    )
    world_size: int | None = argument(None, "Ranks of the job.", status="runtime", note=_SITE)
    data_parallel_size: int | None = argument(
        None,
        "Copies of the model that share the batch.",
        status="runtime",
        note="world_size / (pipe_parallel_size x model_parallel_size)",
    )
    global_num_gpus: int | None = argument(
        None, "Ranks of the job, as GPT-NeoX calls them.", status="runtime", note=_SITE
    )
    rank: int | None = argument(None, "Number of this process.", status="runtime", note=_SITE)
    local_rank: int | None = argument(
        None, "Number of this process on its node.", status="runtime", note=_SITE
    )
    distributed_backend: Literal["nccl", "gloo", "mpi", "ccl"] = argument(
        "nccl",
        "torch.distributed's backend.",
        status="chosen",
        note="the engine takes nccl where ranks have GPUs and gloo elsewhere",
    )
    lazy_mpu_init: bool = argument(
        False,
        "Let another program start the process groups.",
        status="chosen",
        note="the engine starts its process groups itself",
    )
    engine: Literal["auto", "native", "deepspeed"] = argument(
        "auto", "What takes the steps; auto is native on one rank and deepspeed on several."
    )
