"""The whole config of a run, typed: what the plan, the engine and everything else read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from neox.config.arguments.batch import Batch
from neox.config.arguments.checkpoint import Checkpoint
from neox.config.arguments.data import Data
from neox.config.arguments.deepspeed import DeepSpeed
from neox.config.arguments.generation import Generation
from neox.config.arguments.kernels import Kernels
from neox.config.arguments.launch import Launch
from neox.config.arguments.logging import Logging
from neox.config.arguments.model import Model
from neox.config.arguments.moe import Moe
from neox.config.arguments.mup import Mup
from neox.config.arguments.optimizer import Optimizer
from neox.config.arguments.parallel import Parallel
from neox.config.arguments.precision import Precision
from neox.config.arguments.preference import Preference
from neox.config.arguments.recompute import Recompute
from neox.config.arguments.recurrent import Recurrent
from neox.config.arguments.schedule import Schedule
from neox.config.arguments.tokenizer import Tokenizer
from neox.config.arguments.training import Training
from neox.config.arguments.zero import Zero
from neox.config.places import Origin


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Every argument, given or derived or default. The order of groups is the order of pages."""

    model: Model = field(default_factory=Model)
    parallel: Parallel = field(default_factory=Parallel)
    batch: Batch = field(default_factory=Batch)
    training: Training = field(default_factory=Training)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    precision: Precision = field(default_factory=Precision)
    zero: Zero = field(default_factory=Zero)
    recompute: Recompute = field(default_factory=Recompute)
    data: Data = field(default_factory=Data)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    logging: Logging = field(default_factory=Logging)
    generation: Generation = field(default_factory=Generation)
    kernels: Kernels = field(default_factory=Kernels)
    moe: Moe = field(default_factory=Moe)
    recurrent: Recurrent = field(default_factory=Recurrent)
    mup: Mup = field(default_factory=Mup)
    preference: Preference = field(default_factory=Preference)
    launch: Launch = field(default_factory=Launch)
    deepspeed: DeepSpeed = field(default_factory=DeepSpeed)
    # YAML name, dotted in nested dicts -> where its value comes from; defaults are left out
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
