"""The loss scale of fp16: as large as the gradients allow.

The rule is DeepSpeed's DynamicLossScaler (runtime/fp16/loss_scaler.py), whose settings the config
names: halve on overflow once the hysteresis is used up, double after a window without one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LossScaleSpec:
    static: float = 0.0  # 0: dynamic
    initial_power: int = 16
    window: int = 1000
    hysteresis: int = 2  # overflows before the scale falls
    consecutive: bool = False  # a good step fills the hysteresis up again
    minimum: float = 1.0


class LossScale:
    """One number that changes only between steps, the same on all ranks."""

    def __init__(self, spec: LossScaleSpec | None) -> None:
        self._spec = spec  # None: the precision needs no scaling
        self.value = 1.0
        if spec is not None:
            self.value = spec.static or 2.0**spec.initial_power
        self._patience = spec.hysteresis if spec is not None else 0
        self._good_steps = 0

    def update(self, *, overflow: bool) -> None:
        spec = self._spec
        if spec is None or spec.static:
            return
        if overflow:
            self._good_steps = 0
            if self._patience > 1:
                self._patience -= 1
            else:
                self.value = max(self.value / 2, spec.minimum)
            return
        self._good_steps += 1
        if spec.consecutive:
            self._patience = spec.hysteresis
        if self._good_steps == spec.window:
            self._good_steps = 0
            self._patience = spec.hysteresis
            self.value *= 2

    @property
    def dynamic(self) -> bool:
        return self._spec is not None and not self._spec.static

    def state(self) -> tuple[float, int, int]:
        return self.value, self._patience, self._good_steps

    def restore(self, state: tuple[float, int, int]) -> None:
        self.value, self._patience, self._good_steps = state
