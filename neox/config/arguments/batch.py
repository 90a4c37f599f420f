"""How many sequences a step sees. Two of the three numbers say it all."""

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen


@frozen
class Batch(Frozen):
    """The three batch numbers."""

    train_batch_size: int | None = argument(
        None,
        "Sequences of one step over all ranks. Given, it is pinned whatever the node count.",
        unit="sequences",
    )
    train_micro_batch_size_per_gpu: int | None = argument(
        None, "Sequences that one rank takes at a time.", unit="sequences"
    )
    gradient_accumulation_steps: int | None = argument(
        None, "Micro-batches of one step on each rank.", unit="micro-batches"
    )
    batch_size: int | None = argument(
        None,
        "Another name of train_micro_batch_size_per_gpu.",
        unit="sequences",
        status="derived",
        note="train_micro_batch_size_per_gpu",
    )
