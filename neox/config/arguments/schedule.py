"""The learning rate over the steps."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_DEEPSPEED = "DeepSpeed's schedulers are not built in; use lr_decay_style and warmup"


@frozen
class SchedulerParams(Frozen):
    """Numbers of DeepSpeed's schedulers."""

    warmup_min_lr: float = argument(0.0, "Where warm-up starts.")
    warmup_max_lr: float = argument(0.001, "Where warm-up ends.")
    warmup_num_steps: int = argument(1000, "Length of warm-up.", unit="steps")
    warmup_type: Literal["log", "linear"] = argument("log", "Shape of warm-up.")
    total_num_steps: int | None = argument(None, "End of the decay.", unit="steps")
    cos_min_ratio: float = argument(0.0001, "Least share of the peak in a cosine decay.")
    warmup_min_ratio: float = argument(0.0, "Where warm-up starts, as a share of the peak.")
    last_batch_iteration: int = argument(-1, "Step before the first one.", unit="steps")
    lr_range_test_min_lr: float = argument(0.001, "LRRangeTest: where it starts.")
    lr_range_test_step_size: int = argument(2000, "LRRangeTest: steps at a rate.", unit="steps")
    lr_range_test_step_rate: float = argument(1.0, "LRRangeTest: how fast it grows.")
    lr_range_test_staircase: bool = argument(False, "LRRangeTest: in steps, not smoothly.")
    cycle_min_lr: float | None = argument(None, "OneCycle: lowest rate.")
    cycle_max_lr: float | None = argument(None, "OneCycle: highest rate.")
    decay_lr_rate: float = argument(0.0, "OneCycle: decay after the cycle.")
    cycle_first_step_size: int = argument(2000, "OneCycle: steps of the rise.", unit="steps")
    cycle_second_step_size: int | None = argument(
        None, "OneCycle: steps of the fall. Default: as many.", unit="steps"
    )
    cycle_first_stair_count: int = argument(0, "OneCycle: stairs of the rise.")
    cycle_second_stair_count: int | None = argument(None, "OneCycle: stairs of the fall.")
    decay_step_size: int = argument(0, "OneCycle: steps between decays.", unit="steps")
    cycle_momentum: bool = argument(True, "OneCycle: momentum cycles, too.")
    cycle_min_mom: float = argument(0.8, "OneCycle: lowest momentum.")
    cycle_max_mom: float = argument(0.9, "OneCycle: highest momentum.")
    decay_mom_rate: float = argument(0.0, "OneCycle: its decay after the cycle.")


@frozen
class Scheduler(Frozen):
    """A scheduler with DeepSpeed's keys."""

    type: str | None = argument(None, "DeepSpeed's name of the scheduler.")
    params: SchedulerParams = argument(SchedulerParams(), "Its numbers.")


@frozen
class Schedule(Frozen):
    """Warm-up and decay."""

    lr_decay_style: Literal["constant", "linear", "cosine", "exponential"] = argument(
        "linear", "How the rate falls after warm-up."
    )
    lr_decay_iters: int | None = argument(
        None, "Step at which it has fallen. Default: the last step.", unit="steps"
    )
    lr_decay_fraction: float | None = argument(
        None, "The same as a share of train_iters; give one of the two."
    )
    min_lr: float = argument(0.0, "After warm-up the rate does not fall below.")
    warmup: float = argument(0.01, "Share of lr_decay_iters in which the rate rises, from 0 to 1.")
    override_lr_scheduler: bool = argument(
        False,
        "On resuming, take the schedule of this config.",
        status="chosen",
        note="a resumed run always takes the schedule of its config",
    )
    use_checkpoint_lr_scheduler: bool = argument(
        False,
        "On resuming, take the checkpoint's schedule.",
        not_yet="a resumed run takes the schedule of its config",
    )
    scheduler: Scheduler | None = argument(
        None, "One of DeepSpeed's schedulers instead.", not_yet=_DEEPSPEED
    )
