"""The learning rate as a pure function of the number of finished steps.

Formulas of GPT-NeoX's `megatron/learning_rates.py` (AnnealingLR; its first rate as of pull request
1379), with one difference: its cosine rises again after the horizon, ours stays at the minimum.
"""

import math
from dataclasses import dataclass
from typing import Literal

DecayStyle = Literal["constant", "linear", "cosine", "exponential"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    style: DecayStyle
    peak: float
    minimum: float  # once warm-up is over; it begins far below
    warmup: float  # share of the horizon
    horizon: int  # steps until the decay ends


def learning_rate(schedule: Schedule, finished: int) -> float:
    """The rate of the step after `finished` steps."""
    warmup_steps = schedule.warmup * schedule.horizon
    if warmup_steps > 0 and finished <= warmup_steps:
        return schedule.peak * max(1, finished) / warmup_steps
    rate = _decayed(schedule, finished - warmup_steps, schedule.horizon - warmup_steps)
    return max(rate, schedule.minimum)


def _decayed(schedule: Schedule, after_warmup: float, length: float) -> float:
    peak, minimum = schedule.peak, schedule.minimum
    share = min(after_warmup / length, 1.0) if length > 0 else 1.0
    match schedule.style:
        case "constant":
            return peak
        case "linear":
            return peak * (1.0 - share)
        case "cosine":
            return minimum + (peak - minimum) / 2 * (math.cos(math.pi * share) + 1.0)
        case "exponential":
            return peak * math.exp(-0.693 * after_warmup / max(length, 1.0))
