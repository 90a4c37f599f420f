"""What to change when a job does not fit into its GPUs: only what the estimate says would do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neox.config.run_config import RunConfig
from neox.models.spec import ModelSpec
from neox.submit.geometry import is_given
from neox.submit.memory import GB, OUTSIDE_TORCH, fits, fullest, stages
from neox.submit.plan import Geometry


@dataclass(frozen=True, kw_only=True)
class _Change:
    say: str
    config: RunConfig
    cut: Geometry


def memory_warning(config: RunConfig, spec: ModelSpec, cut: Geometry, gpu_gb: float) -> str | None:
    """One line where the fullest rank is expected not to fit, with a setting that would."""
    memory = stages(config, spec, cut)
    if fits(memory, gpu_gb):
        return None
    full = fullest(memory)
    where = f" of stage {full.stage}" if cut.pipeline > 1 else ""
    text = (
        f"memory: a rank{where} needs about {full.total / GB:,.1f} GB and "
        f"{OUTSIDE_TORCH / GB:.0f} GB around it (estimate), and its GPU has {gpu_gb:g} GB"
    )
    return f"{text}; {_advice(config, spec, cut, gpu_gb)}"


def _advice(config: RunConfig, spec: ModelSpec, cut: Geometry, gpu_gb: float) -> str:
    for change in _changes(config, cut):
        if fits(stages(change.config, spec, change.cut), gpu_gb):
            return f"{change.say} would fit"
    return "no micro batch fits: it takes more stages, or more tensor ranks"


def _changes(config: RunConfig, cut: Geometry) -> Iterator[_Change]:
    """Smaller micro batches cost little, recomputing costs a third of the work."""
    for micro_batch in _smaller(cut.micro_batch):
        yield _with_micro_batch(config, cut, micro_batch, "")
    if config.recompute.checkpoint_activations:
        return
    again = replace(config, recompute=replace(config.recompute, checkpoint_activations=True))
    say = "checkpoint_activations=true"
    yield _Change(say=say, config=again, cut=cut)
    for micro_batch in _smaller(cut.micro_batch):
        yield _with_micro_batch(again, cut, micro_batch, f"{say} ")


def _smaller(micro_batch: int) -> Iterator[int]:
    """Divisors, so that the batch of the step stays what it is."""
    return (n for n in range(micro_batch - 1, 0, -1) if micro_batch % n == 0)


def _with_micro_batch(config: RunConfig, cut: Geometry, micro_batch: int, say: str) -> _Change:
    accumulation = cut.accumulation * cut.micro_batch // micro_batch
    say += f"train_micro_batch_size_per_gpu={micro_batch}"
    follows = is_given(config, "train_batch_size") and not is_given(
        config, "gradient_accumulation_steps"
    )
    if not follows:
        say += f" gradient_accumulation_steps={accumulation}"
    return _Change(
        say=say,
        config=config,
        cut=replace(cut, micro_batch=micro_batch, accumulation=accumulation),
    )
