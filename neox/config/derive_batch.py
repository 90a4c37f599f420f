"""Global batch, micro-batch and accumulation: any two give the third."""

from neox.config.derive import Findings, derived
from neox.config.layers import divisors
from neox.config.run_config import RunConfig

_TOTAL = "train_batch_size"
_MICRO = "train_micro_batch_size_per_gpu"
_STEPS = "gradient_accumulation_steps"


def batch(config: RunConfig, findings: Findings) -> RunConfig:
    """Complete the batch numbers; a given train_batch_size stays as it is."""
    total = config.batch.train_batch_size
    micro = config.batch.train_micro_batch_size_per_gpu
    steps = config.batch.gradient_accumulation_steps
    given = {_TOTAL: total, _MICRO: micro, _STEPS: steps}
    if total is None and micro is None:
        findings.add(_MICRO, f"not set; give it, and {_TOTAL} or {_STEPS}")
        return config
    if any(number is not None and number < 1 for number in given.values()):
        return config  # the ranges say so
    if steps is None and (total is None or micro is None):
        config, steps = (
            derived(config, "1 where two of the batch numbers are unset", {_STEPS: 1}),
            1,
        )
    ranks = config.parallel.data_parallel_size
    if ranks is None:
        _divides(findings, total, micro, steps)
        return config
    if total is None:
        assert micro is not None
        assert steps is not None
        rule = "micro-batch x accumulation x data ranks"
        return derived(config, rule, {_TOTAL: micro * steps * ranks})
    return _pinned(config, findings, total, ranks)


def _divides(findings: Findings, total: int | None, micro: int | None, steps: int | None) -> None:
    """What can be said without knowing the data ranks."""
    if total is None:
        return
    for part, name in ((micro, _MICRO), (steps, _STEPS)):
        if part is not None and total % part:
            findings.add(_TOTAL, f"{total} is no multiple of {name}: {part}")
            return
    if micro is not None and steps is not None and total % (micro * steps):
        findings.add(_TOTAL, f"{total} is no multiple of {_MICRO} x {_STEPS} = {micro * steps}")


def _pinned(config: RunConfig, findings: Findings, total: int, ranks: int) -> RunConfig:
    """All three must agree, or the pinned global batch gives the one that is missing."""
    micro = config.batch.train_micro_batch_size_per_gpu
    steps = config.batch.gradient_accumulation_steps
    if micro is not None and steps is not None:
        _agree(findings, total, micro, steps, ranks)
        return config
    if micro is not None:
        return _complete(config, findings, (_MICRO, micro), _STEPS)
    assert steps is not None
    return _complete(config, findings, (_STEPS, steps), _MICRO)


def _agree(findings: Findings, total: int, micro: int, steps: int, ranks: int) -> None:
    product = micro * steps * ranks
    if total != product:
        findings.add(
            _TOTAL,
            f"{total} is not {_MICRO} {micro} x {_STEPS} {steps} x {ranks} data ranks = "
            f"{product}; {_way_out(total, micro, ranks)}",
        )


def _complete(
    config: RunConfig, findings: Findings, part: tuple[str, int], missing: str
) -> RunConfig:
    """The third number from the pinned global batch and one part of it."""
    total, ranks = config.batch.train_batch_size, config.parallel.data_parallel_size
    assert total is not None
    assert ranks is not None
    name, size = part
    if total % (size * ranks):
        findings.add(
            _TOTAL,
            f"{total} does not divide into {name} {size} x {ranks} data ranks = {size * ranks}; "
            f"{_fitting(total, size, ranks, name)}",
        )
        return config
    rule = f"{_TOTAL} / ({name} x data ranks)"
    return derived(config, rule, {missing: total // (size * ranks)})


def _way_out(total: int, micro: int, ranks: int) -> str:
    if total % (micro * ranks) == 0:
        return f"leave {_STEPS} out, and it becomes {total // (micro * ranks)}"
    return f"leave {_STEPS} out; {_fitting(total, micro, ranks, _MICRO)}"


def _fitting(total: int, part: int, ranks: int, name: str) -> str:
    """Numbers of data ranks near `ranks` that fit, and a part that fits `ranks`."""
    if total % part == 0:
        fits = divisors(total // part)
        below = [n for n in fits if n < ranks][-1:]
        above = [n for n in fits if n > ranks][:1]
        return "data ranks that fit: " + " or ".join(str(n) for n in below + above)
    if total % ranks == 0:
        fits = [n for n in divisors(total // ranks) if n <= part]
        return f"{name}: {fits[-1]} would fit"
    return f"{total // (part * ranks) * part * ranks or part * ranks} would fit"
