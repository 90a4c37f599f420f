"""World size, pipeline, tensor and data ranks."""

from neox.config.derive import Findings, derived, follows
from neox.config.run_config import RunConfig

_DATA = "world_size / (pipe_parallel_size x model_parallel_size)"


def ranks(config: RunConfig, findings: Findings, world_size: int | None) -> RunConfig:
    """Divide the ranks; without a site, a given global_num_gpus or world_size counts."""
    for name, value in (
        ("world_size", config.parallel.world_size),
        ("global_num_gpus", config.parallel.global_num_gpus),
    ):
        if value is not None and world_size is not None and value != world_size:
            findings.add(name, f"{value} contradicts the job's {world_size} ranks; leave it out")
        world_size = value if world_size is None else world_size
    if config.parallel.model_parallel_size == 0:
        config = derived(config, "0 and 1 both mean none", {"model_parallel_size": 1})
    several = config.parallel.pipe_parallel_size > 1
    config = follows(config, findings, "pipe_parallel_size > 1", "is_pipe_parallel", several)
    if world_size is None:
        return config
    config = derived(config, "ranks of the job", {"world_size": world_size})
    return _data_ranks(config, findings, world_size)


def stages(config: RunConfig) -> int:
    """Pipeline stages, where 0 means one."""
    return max(1, config.parallel.pipe_parallel_size)


def _data_ranks(config: RunConfig, findings: Findings, world: int) -> RunConfig:
    tensor = config.parallel.model_parallel_size
    copy = stages(config) * tensor  # ranks of one copy of the model
    if copy <= 0 or world <= 0:
        return config  # the ranges say so
    if world % copy:
        below, above = world // copy * copy, (world // copy + 1) * copy
        fits = f"{below} or {above}" if below else f"{above}"
        name = "pipe_parallel_size" if stages(config) > 1 else "model_parallel_size"
        findings.add(
            name,
            f"{world} ranks do not divide into copies of {stages(config)} stages x {tensor} tensor "
            f"ranks = {copy}; use {fits} ranks, or other sizes",
        )
        return config
    return follows(config, findings, _DATA, "data_parallel_size", world // copy)
